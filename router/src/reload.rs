//! SIGHUP: the configuration is read again, and put in force as a whole or not at all.
//!
//! What a month's volume and the hour of the day leave of the line is put in force as they change ([`Reloader::on_tick`]).
//!
//! Everything that can fail is done before anything is changed. A live key takes effect at once; of each changed key that
//! is not live, the log says that it waits for the next start.

use crate::exporter::table;
use crate::run::Applications;
use crate::settings::Settings;
use crate::settings::key::{Change, Life};
use crate::site::Said;
use crate::units::Rate;
use crate::volume::Volume;
use crate::{Failure, log};
use ramson_actors::node::Node;
use ramson_actors::settings::Live;
use ramson_protocol::blocklist::Blocklist;
use ramson_protocol::budget;
use ramson_protocol::shape::Limits;
use std::path::PathBuf;

/// A node with the settings that are in force.
pub(crate) struct Reloader {
    path: Option<PathBuf>,
    /// Of which all but the live keys are in force.
    started: Settings,
    /// Of which the live keys are in force.
    last: Settings,
    node: Node,
    filter: Option<log::Filter>,
    /// What is in force of the live keys, without what volume and hour take from the line.
    live: Option<Live>,
    volume: Option<Volume>,
    /// The line that is in force.
    line: Option<Limits>,
    /// What runs on destinations; nothing does for a relay.
    applications: Option<Applications>,
    /// What the command line says, which stands in no file.
    said: Said,
}

impl Reloader {
    /// For a node that runs with `settings`, which came from `path`. The filter is that of the log, if there is one.
    pub(crate) fn new(path: Option<PathBuf>, settings: Settings, node: Node, filter: Option<log::Filter>) -> Self {
        let live = live(&settings).ok();
        let (volume, line) = (None, None);
        let (started, last) = (settings.clone(), settings);
        Self { path, started, last, node, filter, live, volume, line, applications: None, said: Said::default() }
    }

    /// Keeps to what the command line says beside the configuration.
    pub(crate) fn with_said(mut self, said: Said) -> Self {
        self.said = said;
        self
    }

    /// Has these follow the configuration from now on.
    pub(crate) fn with_applications(mut self, applications: Option<Applications>) -> Self {
        self.applications = applications;
        self
    }

    /// Counts the month's volume in this file from now on.
    pub(crate) fn with_volume(mut self, path: PathBuf) -> Self {
        self.volume = Some(Volume::open(path, self.node.shared().now().wall));
        self.on_tick();
        self
    }

    /// Counts what has gone over the line, and puts in force what volume and hour leave of it. To be called once a minute.
    pub(crate) fn on_tick(&mut self) {
        let (Some(volume), Some(live)) = (&mut self.volume, &self.live) else { return };
        let now = self.node.shared().now().wall;
        volume.count(now, &self.node);
        let bandwidth = &self.last.bandwidth;
        table::VOLUME_USED.set([], volume.used().bytes as f64);
        table::VOLUME_QUOTA.set([], bandwidth.quota.0.map_or(0.0, |quota| quota as f64));
        let line = budget::limits(live.line, bandwidth.quota.0, volume.used(), &bandwidth.hours(), now);
        if self.line.unwrap_or(live.line) == line || self.line.is_some_and(|former| is_near(&former, &line)) {
            return;
        }
        tracing::info!(
            "the line is {} in and {} out from now on, by the month's volume and the hour",
            Rate(line.inbound),
            Rate(line.outbound)
        );
        self.line = Some(line);
        self.node.reload(in_force(live.clone(), line));
    }

    /// Reads the configuration again and tells the log what came of it.
    pub(crate) fn on_signal(&mut self) {
        match self.reload() {
            Ok(changes) => {
                table::RELOADS.add(["ok"], 1);
                for change in &changes {
                    tell(change);
                }
                tracing::info!(changed = changes.len(), "the configuration was read again, and the blocklists");
            }
            Err(error) => {
                table::RELOADS.add(["failed"], 1);
                // An error with the line and a mark below it is one line in the log.
                let error = error.to_string().lines().map(str::trim).collect::<Vec<_>>().join(" | ");
                tracing::error!("the configuration was not reloaded; the old one stays in force: {error}");
            }
        }
    }

    /// The keys that are now in force with another value, and those that wait for the next start.
    ///
    /// # Errors
    /// What is wrong with the configuration. Nothing has changed then.
    pub(crate) fn reload(&mut self) -> Result<Vec<Change>, Failure> {
        let path = self.path.as_deref();
        let settings = self.said.settings(path)?;
        let live = live(&settings)?;
        if let Some(applications) = &mut self.applications {
            applications.reload(&settings)?;
        }
        if let Some(filter) = &self.filter {
            filter.set(&settings.log.level)?;
        }
        self.live = Some(live.clone());
        self.line = None;
        self.node.reload(live);
        let mut changes = settings.changes(&self.last);
        changes.retain(|change| change.life == Life::Live);
        let waiting = settings.changes(&self.started);
        changes.extend(waiting.into_iter().filter(|change| change.life == Life::Start));
        self.last = settings;
        self.on_tick();
        Ok(changes)
    }
}

/// Within a twentieth: not worth a word to all who derive something from it.
fn is_near(a: &Limits, b: &Limits) -> bool {
    let near = |a: u64, b: u64| a.abs_diff(b) * 20 <= a.max(b);
    (a.transit == 0) == (b.transit == 0)
        && near(a.inbound, b.inbound)
        && near(a.outbound, b.outbound)
        && near(a.transit, b.transit)
}

/// With a line on which others have no part, no new tunnel of theirs is taken.
fn in_force(live: Live, line: Limits) -> Live {
    let transit = if line.transit == 0 { live.transit.none() } else { live.transit };
    Live { line, transit, ..live }
}

fn tell(change: &Change) {
    let Change { name, before, now, life } = change;
    match life {
        Life::Live => tracing::info!("{name}: {now} instead of {before}, in force now"),
        Life::Start => tracing::warn!("{name} changed: takes effect at the next start"),
    }
}

/// The live keys in the node's terms.
///
/// # Errors
/// If a blocklist cannot be read.
pub(crate) fn live(settings: &Settings) -> Result<Live, Failure> {
    Ok(Live {
        line: settings.bandwidth.limits(),
        transit: settings.transit.live(),
        ntcp2: settings.ntcp2.live(),
        ssu2: settings.ssu2.live(),
        blocklist: blocklist(settings)?,
    })
}

/// All blocklists in one.
fn blocklist(settings: &Settings) -> Result<Blocklist, Failure> {
    let mut list = Blocklist::default();
    for path in &settings.network.blocklist {
        let text = std::fs::read_to_string(path)
            .map_err(|e| format!("cannot read network.blocklist entry {}: {e}", path.display()))?;
        list.add(&text).map_err(|e| format!("in network.blocklist entry {}, {e}", path.display()))?;
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_dir::DataDir;
    use crate::run::start_node;
    use crate::settings::key::Key;
    use ramson_protocol::dialing::Transport;
    use std::path::Path;
    use std::time::Duration;

    /// A node of a private network that runs with a configuration file.
    struct Rig {
        folder: tempfile::TempDir,
        reloader: Reloader,
    }

    impl Rig {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("ramson.toml");
            write(&path, "inbound = \"25MB/s\"\noutbound = \"25MB/s\"", "");
            let settings = Settings::load(Some(&path)).unwrap();
            let node = start_node(&settings, &DataDir::open(&folder.path().join("data")).unwrap(), None).unwrap();
            Self { reloader: Reloader::new(Some(path), settings, node, None), folder }
        }

        fn write(&self, bandwidth: &str, more: &str) {
            write(&self.folder.path().join("ramson.toml"), bandwidth, more);
        }

        /// What is in force of the line, of NTCP2's idle time, and of the blocklist.
        fn in_force(&self) -> (u64, Duration, (usize, usize)) {
            let node = &self.reloader.node;
            let idle = node.transports().live().idle_close(Transport::Ntcp2);
            (node.transports().line().inbound.rate(), idle, node.shared().gate().list().len())
        }

        async fn letter_becomes(&self, letter: char) {
            for _ in 0..300 {
                if self.reloader.node.shared().router_info().caps().to_string().starts_with(letter) {
                    return;
                }
                actix::clock::sleep(Duration::from_millis(10)).await;
            }
            panic!("the letter is still {}", self.reloader.node.shared().router_info().caps());
        }
    }

    fn write(path: &Path, bandwidth: &str, more: &str) {
        let text = format!(
            "[router]\nio_threads = 1\n[exploratory]\nquantity = 0\n[ntcp2]\nlisten = \"127.0.0.1:0\"\n\
             [ssu2]\nlisten = \"127.0.0.1:0\"\n[bandwidth]\n{bandwidth}\n{more}\n"
        );
        std::fs::write(path, text.replace("[router]", "[network]\nid = 99\nallow_private_addresses = true\n[router]"))
            .unwrap();
    }

    #[actix::test]
    async fn a_changed_rate_reaches_the_line_and_the_letter_that_we_publish() {
        let mut rig = Rig::new();
        rig.letter_becomes('X').await;
        rig.write("inbound = \"1MB/s\"\noutbound = \"1MB/s\"", "");
        let changes = rig.reloader.reload().unwrap();
        let names: Vec<_> = changes.iter().map(|change| change.name.as_str()).collect();
        assert_eq!(names, ["bandwidth.inbound", "bandwidth.outbound"]);
        assert_eq!(rig.in_force().0, 1_000_000);
        rig.letter_becomes('P').await;
        rig.reloader.node.stop().await;
    }

    #[actix::test]
    async fn a_reload_that_fails_half_way_changes_nothing() {
        let mut rig = Rig::new();
        let before = rig.in_force();
        let missing = rig.folder.path().join("missing");
        for more in [
            "[log]\nlevel = \"a=b=c\"".to_owned(),
            "[transit]\nmax_tunnels = -1".to_owned(),
            format!("[transit]\nmax_tunnels = 1\n[netdb]\nmax_router = {missing:?}"),
        ] {
            rig.write("inbound = \"1MB/s\"", &more);
            assert!(rig.reloader.reload().is_err(), "{more}");
            assert_eq!(rig.in_force(), before, "{more}");
        }
        let text = format!("[network]\nid = 99\nblocklist = [{missing:?}]\n[bandwidth]\ninbound = \"1MB/s\"\n");
        std::fs::write(rig.folder.path().join("ramson.toml"), text).unwrap();
        let error = rig.reloader.reload().unwrap_err().to_string();
        assert!(error.contains("network.blocklist"), "{error}");
        assert_eq!(rig.in_force(), before);
        rig.reloader.node.stop().await;
    }

    #[actix::test]
    async fn a_month_s_volume_slows_the_line_and_the_letter_follows() {
        let mut rig = Rig::new();
        rig.letter_becomes('X').await;
        let path = rig.folder.path().join("volume");
        rig.reloader.volume = Some(Volume::open(path.clone(), rig.reloader.node.shared().now().wall));
        rig.write("inbound = \"25MB/s\"\noutbound = \"25MB/s\"\nquota = \"1MB\"", "");
        rig.reloader.reload().unwrap();
        assert_eq!(rig.in_force().0, 10_000, "all but nothing, as little is left");
        rig.letter_becomes('K').await;
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("ramson volume 1 20"));
        rig.write(
            "inbound = \"25MB/s\"\noutbound = \"25MB/s\"\nschedule = [\"00:00-23:59 1MB/s\", \"23:59-00:00 1MB/s\"]",
            "",
        );
        rig.reloader.reload().unwrap();
        assert_eq!(rig.in_force().0, 1_000_000);
        rig.letter_becomes('P').await;
        rig.write("inbound = \"25MB/s\"\noutbound = \"25MB/s\"", "");
        rig.reloader.reload().unwrap();
        assert_eq!(rig.in_force().0, 25_000_000);
        rig.reloader.node.stop().await;
    }

    #[actix::test]
    async fn a_key_that_waits_for_the_next_start_is_named_until_then() {
        let mut rig = Rig::new();
        rig.write("inbound = \"25MB/s\"\noutbound = \"25MB/s\"", "[netdb]\nmax_routers = 700");
        for _ in 0..2 {
            let changes = rig.reloader.reload().unwrap();
            assert_eq!(changes.len(), 1, "{changes:?}");
            assert_eq!((changes[0].name.as_str(), changes[0].life), ("netdb.max_routers", Life::Start));
        }
        rig.write("inbound = \"25MB/s\"\noutbound = \"25MB/s\"", "");
        assert_eq!(rig.reloader.reload().unwrap(), []);
        rig.reloader.node.stop().await;
    }

    /// Another value than the default, as it is written.
    fn other(key: &Key, blocklist: &Path) -> String {
        match key.kind {
            "list of paths" => format!("[{blocklist:?}]"),
            "number" if key.default.contains('.') => "0.5".to_owned(),
            "number" => "99".to_owned(),
            "text" => "\"warn\"".to_owned(),
            kind if kind.starts_with("volume") => "\"7TB\"".to_owned(),
            kind if kind.contains("parts of the day") => "[\"07:00-23:00 7kB/s\"]".to_owned(),
            kind if kind.starts_with("list of time servers") => "\"time.example.org\"".to_owned(),
            kind if kind.contains("`false`, or") => "\"auto\"".to_owned(),
            kind if kind.contains("list of hosts") => "[\"https://a.example/\"]".to_owned(),
            kind if kind.contains("`\"relay\"`") => "\"relay\"".to_owned(),
            "list of texts" => "[\"http://a.i2p/\"]".to_owned(),
            kind if kind.starts_with("duration") => "\"7s\"".to_owned(),
            kind if kind.starts_with("rate") => "\"7kB/s\"".to_owned(),
            kind if kind.starts_with("address") => "\"127.0.0.1:7\"".to_owned(),
            _ => if key.default == "true" { "false" } else { "true" }.to_owned(),
        }
    }

    #[test]
    fn the_live_keys_are_those_that_reach_the_node_the_log_or_the_applications() {
        let folder = tempfile::tempdir().unwrap();
        let blocklist = folder.path().join("blocklist");
        std::fs::write(&blocklist, "192.0.2.0/24\n").unwrap();
        let usual = format!("{:?}", live(&Settings::default()).unwrap());
        for (section, _, keys) in Settings::sections() {
            for key in keys {
                let name = key.name.rsplit('.').next().unwrap();
                let text = format!("[{section}]\n{name} = {}\n", other(&key, &blocklist));
                let settings = Settings::parse(&text).unwrap();
                assert_eq!(settings.changes(&Settings::default()).len(), 1, "{text}");
                let elsewhere = ["log.level", "bandwidth.quota", "bandwidth.schedule", "router.tunnel_files"];
                let reaches =
                    format!("{:?}", live(&settings).unwrap()) != usual || elsewhere.contains(&key.name.as_str());
                assert_eq!(reaches, key.life == Life::Live, "{}", key.name);
            }
        }
    }
}
