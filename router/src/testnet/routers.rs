//! The other routers of the network: their folders, configurations and processes.

use crate::Failure;
use crate::data_dir::DataDir;
use crate::settings::proxies::HttpProxy;
use crate::settings::router::Role;
use crate::settings::tunnel::Tunnel;
use crate::settings::{Endpoint, Settings};
use ramson_actors::identity::{Floodfill, Offer, Profile, State, router_info};
use ramson_protocol::reach::Publish;
use ramson_transports::clock::Clock;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Not the live network's number, so that nothing could ever mix.
const NET_ID: u8 = 99;

/// One router in so many is a floodfill.
const FLOODFILL_EVERY: usize = 3;

/// How long the others may take to end by themselves.
const END_LIMIT: Duration = Duration::from_secs(3);

/// The site that is shown, and its tunnels.
pub(crate) const SITE_NAME: &str = "site";
const SITE: &str =
    "<!DOCTYPE html>\n<title>It works</title>\n<h1>It works</h1>\n<p>This page came through a private network.</p>\n";
const SITE_HOPS: usize = 2;

/// The routers. They end when this process does, however it ends: each watches a pipe that we hold.
pub(crate) struct Routers {
    base: PathBuf,
    addresses: Vec<SocketAddr>,
    metrics: Vec<SocketAddr>,
    children: Vec<Child>,
}

impl Routers {
    /// Makes the folders and identities, and starts the processes. Router 0 is this process's own.
    pub(crate) fn start(base: &Path, count: u8) -> Result<Self, Failure> {
        let all = usize::from(count) + 1;
        let ports = free_ports(2 * all)?;
        let (addresses, metrics) = ports.split_at(all);
        let mut routers =
            Self { base: base.to_owned(), addresses: addresses.to_vec(), metrics: metrics.to_vec(), children: vec![] };
        let infos = base.join("routers");
        fs::create_dir_all(&infos)?;
        for (n, address) in routers.addresses.iter().enumerate() {
            let keys = DataDir::open(&routers.folder(n))?.keys()?;
            let offer = Some(Offer { publish: Publish::Fixed(vec![*address]), mtu: 1500 });
            let (ntcp2, ssu2) = (offer.clone().filter(|_| speaks_ntcp2(n)), offer);
            let is_floodfill = is_floodfill(n);
            let floodfill = if is_floodfill { Floodfill::Yes } else { Floodfill::No };
            let profile = Profile { net_id: NET_ID, floodfill, ntcp2, ssu2, share: 20_000_000, family: None };
            let state = State { floodfill: is_floodfill, counts: (all, 0), ..State::published_at(*address) };
            let info = router_info(&keys, &profile, &state, Clock::system())?;
            fs::write(infos.join(format!("routerInfo-{n}.dat")), info.as_bytes())?;
            fs::write(routers.folder(n).join("ramson.toml"), routers.config_text(n))?;
        }
        for n in 1..all {
            let child = routers.spawn(n)?;
            routers.children.push(child);
        }
        Ok(routers)
    }

    fn folder(&self, n: usize) -> PathBuf {
        self.base.join(format!("r{n}"))
    }

    fn config_text(&self, n: usize) -> String {
        let address = self.addresses[n];
        format!(
            "[network]\nid = {NET_ID}\nallow_private_addresses = true\nbootstrap = [{:?}]\n[router]\nrole = \"relay\"\nfloodfill = {}\nio_threads = 1\n\
             [ntcp2]\nenabled = {}\nlisten = \"{address}\"\npublish = \"{address}\"\n\
             [ssu2]\nlisten = \"{address}\"\npublish = \"{address}\"\n[bandwidth]\ninbound = \"100MB/s\"\noutbound = \"100MB/s\"\n[metrics]\nlisten = \"{}\"\n[log]\nlevel = \"warn\"\n",
            self.base.join("routers"),
            is_floodfill(n),
            speaks_ntcp2(n),
            self.metrics[n],
        )
    }

    fn spawn(&self, n: usize) -> io::Result<Child> {
        let folder = self.folder(n);
        let log = fs::File::create(folder.join("log"))?;
        Command::new(std::env::current_exe()?)
            .arg("run")
            .arg("--config")
            .arg(folder.join("ramson.toml"))
            .arg("--data")
            .arg(&folder)
            .arg("--while-stdin-is-open")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
    }

    /// The settings of this process's own router.
    pub(crate) fn own_settings(&self) -> Result<Settings, Failure> {
        Ok(Settings::load(Some(&self.folder(0).join("ramson.toml")))?)
    }

    /// The same with a proxy for a browser, and a site of a folder behind it, through as few routers as there may be.
    pub(crate) fn settings_with_site(&self) -> Result<Settings, Failure> {
        let mut settings = self.own_settings()?;
        let folder = self.base.join("site");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("index.html"), SITE)?;
        let tunnel = Tunnel {
            name: SITE_NAME.to_owned(),
            r#type: "site".to_owned(),
            directory: folder.to_string_lossy().into_owned(),
            inbound_length: SITE_HOPS,
            outbound_length: SITE_HOPS,
            ..Tunnel::default()
        };
        settings.tunnel.push(tunnel);
        let listen = Endpoint(free_ports(1)?.pop());
        settings.http_proxy = HttpProxy { listen, length: SITE_HOPS, quantity: 2, ..HttpProxy::default() };
        settings.router.role = Role::Full;
        settings.socks_proxy.listen = Endpoint(None);
        Ok(settings)
    }

    /// The data folder of this process's own router.
    pub(crate) fn own_data(&self) -> Result<DataDir, Failure> {
        Ok(DataDir::open(&self.folder(0))?)
    }

    /// Where the others serve their metrics.
    pub(crate) fn metrics(&self) -> Vec<SocketAddr> {
        self.metrics.iter().skip(1).copied().collect()
    }

    /// Ends the processes.
    pub(crate) fn stop(&mut self) {
        for child in &mut self.children {
            // Closing the pipe asks them to drain.
            drop(child.stdin.take());
        }
        let asked = Instant::now();
        for child in &mut self.children {
            while matches!(child.try_wait(), Ok(None)) {
                if asked.elapsed() > END_LIMIT {
                    // Already gone is as good.
                    let _ = child.kill();
                    let _ = child.wait();
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

impl Drop for Routers {
    fn drop(&mut self) {
        self.stop();
    }
}

fn is_floodfill(n: usize) -> bool {
    n % FLOODFILL_EVERY == 1
}

/// Every third router speaks SSU2 alone, so that traffic crosses from one transport to the other and back.
fn speaks_ntcp2(n: usize) -> bool {
    n % 3 != 2
}

/// Ports that nobody listens on now.
fn free_ports(count: usize) -> io::Result<Vec<SocketAddr>> {
    let held = (0..count).map(|_| TcpListener::bind(("127.0.0.1", 0))).collect::<io::Result<Vec<_>>>()?;
    held.iter().map(TcpListener::local_addr).collect()
}
