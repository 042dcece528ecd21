//! `ramson doctor`: what of this machine keeps a router from its best, and the command that mends it.
//!
//! Nothing is changed, and nothing is sent anywhere.

use crate::Failure;
use crate::control::{Request, ask};
use crate::data_dir::DataDir;
use crate::output::say;
use crate::platform;
use crate::settings::Settings;
use crate::settings::publish::ListenAt;
use crate::start::{ports, try_port};
use ramson_actors::calls_from;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// Descriptors for a busy relay: one for each session of NTCP2.
const DESCRIPTORS: u64 = 16_384;

/// What the kernel should be ready to hold for a UDP socket.
const BUFFER: u64 = 4 << 20;

/// Connections that a busy relay is in the kernel's table with.
const CONNTRACK: u64 = 131_072;

/// Free room of the disk for a database that grows.
const DISK: u64 = 1 << 30;

/// What a relay of some thousand sessions needs.
const MEMORY: u64 = 256 << 20;

/// How it stands with one thing.
#[derive(Debug, PartialEq, Eq)]
enum Finding {
    /// Well.
    Good(String),
    /// Nothing is broken, but something could be better.
    Note(String, String),
    /// Something is broken: what, and what mends it.
    Bad(String, String),
}

use Finding::{Bad, Good, Note};

/// Where this machine tells of itself; a test has a machine of its own.
struct Machine(PathBuf);

impl Machine {
    fn text(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.0.join(path)).ok()
    }

    fn number(&self, path: &str) -> Option<u64> {
        self.text(path)?.trim().parse().ok()
    }
}

/// Looks at everything.
///
/// # Errors
/// If something is broken, after all has been said.
pub(crate) fn doctor(config: Option<&Path>, data: &Path) -> Result<(), Failure> {
    let machine = Machine(PathBuf::from("/"));
    let mut findings = Vec::new();
    let settings = match Settings::load(config) {
        Ok(settings) => {
            findings.push(Good("the configuration is good".to_owned()));
            settings
        }
        Err(error) => {
            findings.push(Bad(error.to_string(), "ramson config check --config FILE".to_owned()));
            Settings::default()
        }
    };
    // One that has not run yet chooses at its first start.
    let port = DataDir::chosen_port(data).unwrap_or(0);
    findings.push(descriptors());
    findings.extend(buffers(&machine));
    findings.extend(conntrack(&machine));
    findings.push(clock(&machine));
    findings.extend(memory(&machine));
    findings.extend(folder(data));
    let [v4, v6] = calls_from();
    findings.extend(addresses(&settings, port, v4, v6));
    findings.extend(listening(&settings, port, data));
    let mut text = String::new();
    for finding in &findings {
        text += &match finding {
            Good(what) => format!("good  {what}\n"),
            Note(what, mend) => format!("note  {what}\n      {mend}\n"),
            Bad(what, mend) => format!("BAD   {what}\n      {mend}\n"),
        };
    }
    say(&text)?;
    let bad = findings.iter().filter(|finding| matches!(finding, Bad(..))).count();
    if bad == 0 { Ok(()) } else { Err(format!("{bad} of {} things are to be mended", findings.len()).into()) }
}

fn descriptors() -> Finding {
    // The soft limit is raised to it at the start.
    match platform::descriptor_limits().1 {
        Some(most) if most < DESCRIPTORS => Bad(
            format!("{most} descriptors at most, one of which each session of NTCP2 takes"),
            "LimitNOFILE=65536 in the systemd unit, or as root: prlimit --nofile=65536:65536 --pid $$".to_owned(),
        ),
        most => Good(format!("descriptors: {}", most.map_or_else(|| "no limit".to_owned(), |n| n.to_string()))),
    }
}

fn buffers(machine: &Machine) -> Vec<Finding> {
    let one = |key: &str| {
        let now = machine.number(&format!("proc/sys/{}", key.replace('.', "/")))?;
        Some(if now < BUFFER {
            Note(
                format!("{key} is {now}: at a gigabit datagrams of SSU2 are lost between two turns"),
                format!("sysctl -w {key}={BUFFER}; echo '{key} = {BUFFER}' >>/etc/sysctl.d/60-ramson.conf"),
            )
        } else {
            Good(format!("{key}: {now}"))
        })
    };
    ["net.core.rmem_max", "net.core.wmem_max"].into_iter().filter_map(one).collect()
}

fn conntrack(machine: &Machine) -> Option<Finding> {
    const KEY: &str = "net.netfilter.nf_conntrack_max";
    let most = machine.number("proc/sys/net/netfilter/nf_conntrack_max")?;
    let used = machine.number("proc/sys/net/netfilter/nf_conntrack_count").unwrap_or(0);
    let mend = format!("sysctl -w {KEY}=262144; echo '{KEY} = 262144' >>/etc/sysctl.d/60-ramson.conf");
    Some(if used * 10 > most * 9 {
        Bad(format!("the firewall's table of connections is full: {used} of {most}; new ones are dropped"), mend)
    } else if most < CONNTRACK {
        Note(format!("the firewall's table of connections holds {most}, which a busy relay fills"), mend)
    } else {
        Good(format!("the firewall's table of connections: {used} of {most}"))
    })
}

fn clock(machine: &Machine) -> Finding {
    let mend = "timedatectl set-ntp true, or: apt-get install chrony".to_owned();
    let kept = [
        "run/systemd/timesync/synchronized",
        "run/chrony/chronyd.pid",
        "run/chrony",
        "run/ntpd.pid",
        "run/openntpd.pid",
    ];
    if kept.iter().any(|path| machine.0.join(path).exists()) {
        Good("a program keeps the clock right".to_owned())
    } else {
        Note("nothing seems to keep the clock right: other routers refuse one that is off by a minute".to_owned(), mend)
    }
}

fn memory(machine: &Machine) -> Option<Finding> {
    let text = machine.text("proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let free = line.split_whitespace().next()?.parse::<u64>().ok()? * 1024;
    let mb = free >> 20;
    Some(if free < MEMORY {
        Note(format!("{mb} MiB of memory are free"), "lower netdb.max_routers, or give the machine more".to_owned())
    } else {
        Good(format!("{mb} MiB of memory are free"))
    })
}

fn folder(data: &Path) -> Vec<Finding> {
    let shown = data.display();
    let Ok(about) = fs::metadata(data) else {
        return vec![Note(format!("there is no {shown} yet"), format!("it is made by: ramson run --data {shown}"))];
    };
    let mut findings = Vec::new();
    findings.push(if !platform::is_open_to_others(&about) {
        Good(format!("{shown} is private"))
    } else {
        Bad(format!("other users can look into {shown}, where our keys are"), format!("chmod -R go= {shown}"))
    });
    if let Some(free) = platform::free_disk(data) {
        findings.push(if free < DISK {
            Bad(
                format!("{} MiB of disk are free at {shown}", free >> 20),
                format!("make room, or move it: --data; df -h {shown}"),
            )
        } else {
            Good(format!("{} MiB of disk are free at {shown}", free >> 20))
        });
    }
    findings
}

fn addresses(settings: &Settings, port: u16, v4: Option<IpAddr>, v6: Option<IpAddr>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let public = ramson_protocol::data::router_address::is_public;
    let listening = |at: &ListenAt| at.addresses(port, true);
    let port = listening(&settings.ntcp2.listen).first().map_or(port, SocketAddr::port);
    let port = if port == 0 { "the port that is drawn at the first start".to_owned() } else { format!("port {port}") };
    findings.push(match v4 {
        None => Note(
            "this machine has no address of IPv4".to_owned(),
            "most routers have nothing else: see `ip addr`".to_owned(),
        ),
        Some(ip) if public(ip) => Good(format!("calls over IPv4 come from the public address {ip}")),
        Some(ip) => Note(
            format!("calls over IPv4 come from {ip}: there is a NAT between us and the network"),
            format!("forward {port} of TCP and UDP to {ip} in the device that does it, unless that does so when asked (UPnP, PCP, NAT-PMP)"),
        ),
    });
    let listens = |v6: bool| {
        let all = [&settings.ntcp2.listen, &settings.ssu2.listen].map(listening).concat();
        all.iter().any(|addr| addr.is_ipv6() == v6)
    };
    match v6.filter(|ip| public(*ip)) {
        Some(ip) if !listens(true) => findings.push(Note(
            format!("this machine has the public address {ip} of IPv6, and nothing listens there"),
            "listen = \"auto\" in [ntcp2] and [ssu2], or add an address of IPv6, such as \"[::]:20003\"".to_owned(),
        )),
        Some(ip) => findings.push(Good(format!("IPv6 is there, with {ip}"))),
        None => findings.push(Good("no public address of IPv6: IPv4 alone will do".to_owned())),
    }
    findings
}

/// Whether the ports are free, unless a router of ours has them.
fn listening(settings: &Settings, port: u16, data: &Path) -> Vec<Finding> {
    if ask(data, &Request::Status {}).is_ok() {
        return vec![Good(format!("a router runs with {}", data.display()))];
    }
    let one = |(key, protocol, addr)| match try_port(key, protocol, addr) {
        Ok(()) => Good(format!("{key}: {addr} ({}) is free", protocol.name())),
        Err(why) => Bad(why, "or run this as the user of the router".to_owned()),
    };
    ports(settings, port).into_iter().map(one).collect()
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, Machine) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let machine = Machine(folder.path().to_owned());
        (folder, machine)
    }

    #[test]
    fn small_buffers_name_the_command_and_large_ones_are_good() {
        let (_folder, small) =
            machine(&[("proc/sys/net/core/rmem_max", "212992\n"), ("proc/sys/net/core/wmem_max", "4194304\n")]);
        let found = buffers(&small);
        assert!(
            matches!(&found[0], Note(_, mend) if mend.contains("sysctl -w net.core.rmem_max=4194304")),
            "{found:?}"
        );
        assert!(matches!(&found[1], Good(_)), "{found:?}");
        assert!(buffers(&machine(&[]).1).is_empty(), "a machine that does not tell");
    }

    #[test]
    fn a_full_table_of_connections_is_bad_and_a_small_one_worth_a_note() {
        let found = |most: &str, used: &str| {
            let (_folder, machine) = machine(&[
                ("proc/sys/net/netfilter/nf_conntrack_max", most),
                ("proc/sys/net/netfilter/nf_conntrack_count", used),
            ]);
            conntrack(&machine).unwrap()
        };
        assert!(matches!(found("65536", "65000"), Bad(..)));
        assert!(matches!(found("65536", "10"), Note(..)));
        assert!(matches!(found("262144", "10"), Good(_)));
        assert_eq!(conntrack(&machine(&[]).1), None);
    }

    #[test]
    fn a_clock_that_nobody_keeps_is_worth_a_note() {
        assert!(matches!(clock(&machine(&[]).1), Note(_, mend) if mend.contains("timedatectl")));
        let (_folder, kept) = machine(&[("run/systemd/timesync/synchronized", "")]);
        assert!(matches!(clock(&kept), Good(_)));
    }

    #[test]
    fn a_nat_and_an_unused_ipv6_are_told_with_the_port() {
        let text = "[ntcp2]\nlisten = \"0.0.0.0:20003\"\n[ssu2]\nlisten = \"0.0.0.0:20003\"\n";
        let of = |text: &str, port, v4: [u8; 4], v6: Option<&str>| {
            let v6 = v6.and_then(|v6| v6.parse().ok());
            addresses(&Settings::parse(text).unwrap(), port, Some(v4.into()), v6)
        };
        let found = of(text, 7, [192, 168, 1, 7], Some("2a01:4f8::7"));
        assert!(matches!(&found[0], Note(_, mend) if mend.contains("forward port 20003")), "{found:?}");
        assert!(matches!(&found[1], Note(_, mend) if mend.contains("\"auto\"")), "{found:?}");
        let found = of("", 12_345, [192, 168, 1, 7], Some("2a01:4f8::7"));
        assert!(matches!(&found[0], Note(_, mend) if mend.contains("forward port 12345")), "{found:?}");
        assert!(matches!(&found[1], Good(_)), "it listens everywhere: {found:?}");
        let found = of("", 0, [192, 168, 1, 7], None);
        assert!(matches!(&found[0], Note(_, mend) if mend.contains("drawn at the first start")), "{found:?}");
        assert!(of(text, 0, [9, 9, 9, 9], None).iter().all(|finding| matches!(finding, Good(_))));
    }

    #[test]
    fn a_folder_that_others_can_look_into_is_bad() {
        let folder = tempfile::tempdir().unwrap();
        let set = |mode| fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
        set(0o755);
        assert!(matches!(&folder_of(&folder)[0], Bad(_, mend) if mend.contains("chmod")));
        set(0o700);
        assert!(matches!(&folder_of(&folder)[0], Good(_)));
        assert!(matches!(super::folder(&folder.path().join("none"))[0], Note(..)));
    }

    fn folder_of(folder: &tempfile::TempDir) -> Vec<Finding> {
        super::folder(folder.path())
    }
}
