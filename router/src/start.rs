//! What must be had before a node can begin, and why it could not.
//!
//! Libraries panic where they cannot have a thread or a descriptor, and the operating system says what it refused but not
//! to whom. So both are asked for beforehand, and after a failure each port is tried by itself.

use crate::Failure;
use crate::settings::Settings;
use crate::settings::publish::ListenAt;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::mpsc;
use std::thread;

/// Threads of a node beside those for I/O: the planes, the arbiters, the workers, the exporter. See ARCHITECTURE.md §Threads.
const THREADS: usize = 26;

/// Descriptors that a node opens before anybody calls: sockets, wakers, the database, the log.
const DESCRIPTORS: usize = 96;

/// What threads cannot be had for.
const NO_THREAD: &str = "cannot start a thread: raise the limit of processes (TasksMax= in the systemd unit, `ulimit -u`, or the \
                         pids limit of the container)";

/// What descriptors cannot be had for.
const NO_DESCRIPTOR: &str =
    "too few descriptors: raise their limit to 65536 (LimitNOFILE= in the systemd unit, or `ulimit -n`)";

/// How a port is listened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// NTCP2, and the exporter.
    Tcp,
    /// SSU2.
    Udp,
}

impl Protocol {
    /// As everybody writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }
}

/// Fails if a node would not get the threads and descriptors that it begins with.
///
/// # Errors
/// What to raise.
pub(crate) fn check_limits(settings: &Settings) -> Result<(), Failure> {
    let io = match settings.router.io_threads {
        0 => thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let files: Result<Vec<File>, _> = (0..DESCRIPTORS + 4 * io).map(|_| File::open("/dev/null")).collect();
    if files.is_err_and(|e| is_descriptors(&e)) {
        return Err(NO_DESCRIPTOR.into());
    }
    let mut held = Vec::new();
    for _ in 0..THREADS + io {
        let (end, until) = mpsc::channel::<()>();
        // Each waits until all have begun.
        let Ok(thread) = thread::Builder::new().spawn(move || until.recv().is_ok()) else {
            return Err(NO_THREAD.into());
        };
        held.push((end, thread));
    }
    for (end, thread) in held {
        drop(end);
        // It has nothing to panic about.
        let _ = thread.join();
    }
    Ok(())
}

/// Why a node did not start, and what to do.
pub(crate) fn explain(error: &io::Error, settings: &Settings, port: u16) -> String {
    let text = error.to_string();
    if is_descriptors(error) || text.contains("os error 24") {
        return format!("cannot start: {NO_DESCRIPTOR}");
    }
    if error.kind() == ErrorKind::WouldBlock || text.contains("os error 11)") {
        return format!("cannot start: {NO_THREAD}");
    }
    let ports = ports(settings, port);
    match ports.into_iter().find_map(|(key, protocol, addr)| try_port(key, protocol, addr).err()) {
        Some(why) => format!("cannot start: {why}"),
        None => format!("cannot start: {text}"),
    }
}

/// Where a transport listens, if it is to be spoken.
pub(crate) fn listen(enabled: bool, listen: &ListenAt, port: u16) -> Vec<SocketAddr> {
    // A kernel without IPv6 has no such sockets.
    let v6 = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok();
    if enabled { listen.addresses(port, v6) } else { Vec::new() }
}

/// All ports that a node with these settings listens on, with the keys that say so. `port` is the one that it has chosen.
pub(crate) fn ports(settings: &Settings, port: u16) -> Vec<(&'static str, Protocol, SocketAddr)> {
    let mut all = Vec::new();
    let (ntcp2, ssu2) = (&settings.ntcp2, &settings.ssu2);
    all.extend(listen(ntcp2.enabled, &ntcp2.listen, port).into_iter().map(|at| ("ntcp2.listen", Protocol::Tcp, at)));
    all.extend(listen(ssu2.enabled, &ssu2.listen, port).into_iter().map(|at| ("ssu2.listen", Protocol::Udp, at)));
    all.extend(settings.metrics.listen.0.map(|addr| ("metrics.listen", Protocol::Tcp, addr)));
    all
}

/// Listens for a moment.
///
/// # Errors
/// Why that does not go, and what to do.
pub(crate) fn try_port(key: &str, protocol: Protocol, addr: SocketAddr) -> Result<(), String> {
    let tried = match protocol {
        Protocol::Tcp => TcpListener::bind(addr).map(drop),
        Protocol::Udp => UdpSocket::bind(addr).map(drop),
    };
    tried.map_err(|error| cannot_listen(key, protocol, addr, &error))
}

/// Why an address cannot be listened on, and what to do.
pub(crate) fn cannot_listen(key: &str, protocol: Protocol, addr: SocketAddr, error: &io::Error) -> String {
    let name = protocol.name();
    let tool = match protocol {
        Protocol::Tcp => "ss -ltnp",
        Protocol::Udp => "ss -lunp",
    };
    let advice = match error.kind() {
        ErrorKind::AddrInUse => {
            format!("another program has that port; `{tool}` shows which. Stop it, or change {key}")
        }
        ErrorKind::AddrNotAvailable => {
            format!("no interface of this machine has that address; `ip addr` shows which there are. Change {key}")
        }
        ErrorKind::PermissionDenied if addr.port() < 1024 => format!(
            "ports below 1024 need a right: AmbientCapabilities=CAP_NET_BIND_SERVICE in the systemd unit, or a port above in {key}"
        ),
        ErrorKind::PermissionDenied => format!("something forbids it, such as a security module; see {key}"),
        _ if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {
            format!("this machine does not have that family of addresses; take it out of {key}")
        }
        _ => format!("see {key}"),
    };
    format!("{key}: cannot listen on {addr} ({name}): {error}: {advice}")
}

fn is_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(ntcp2: SocketAddr, ssu2: SocketAddr) -> Settings {
        let text = format!("[ntcp2]\nlisten = \"{ntcp2}\"\n[ssu2]\nlisten = \"{ssu2}\"\n[metrics]\nlisten = false\n");
        Settings::parse(&text).unwrap()
    }

    #[test]
    fn a_port_in_use_is_named_with_its_protocol_and_key() {
        let (tcp, udp) = (TcpListener::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let any = "127.0.0.1:0".parse().unwrap();
        let busy = io::Error::from(ErrorKind::AddrInUse);
        let why = explain(&busy, &settings(tcp.local_addr().unwrap(), any), 0);
        assert!(why.contains("ntcp2.listen") && why.contains("(TCP)") && why.contains("ss -ltnp"), "{why}");
        let why = explain(&busy, &settings(any, udp.local_addr().unwrap()), 0);
        assert!(why.contains("ssu2.listen") && why.contains("(UDP)") && why.contains("ss -lunp"), "{why}");
    }

    #[test]
    fn an_address_of_another_machine_is_named() {
        let why = explain(
            &ErrorKind::AddrNotAvailable.into(),
            &settings("192.0.2.1:7".parse().unwrap(), "127.0.0.1:0".parse().unwrap()),
            0,
        );
        assert!(why.contains("192.0.2.1:7") && why.contains("ip addr"), "{why}");
    }

    #[test]
    fn what_has_nothing_to_do_with_ports_does_not_speak_of_them() {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let settings = settings(any, any);
        let of = |error: io::Error| explain(&error, &settings, 0);
        assert_eq!(
            of(io::Error::other("the netDb /x: Permission denied")),
            "cannot start: the netDb /x: Permission denied"
        );
        assert!(of(io::Error::from_raw_os_error(libc::EMFILE)).contains("LimitNOFILE"));
        assert!(of(io::Error::from_raw_os_error(libc::EAGAIN)).contains("TasksMax"));
        assert!(of(io::Error::other("the netDb /x: Too many open files (os error 24)")).contains("LimitNOFILE"));
    }

    #[test]
    fn a_port_that_needs_a_right_says_which() {
        let addr = "0.0.0.0:443".parse().unwrap();
        let why = cannot_listen("ntcp2.listen", Protocol::Tcp, addr, &ErrorKind::PermissionDenied.into());
        assert!(why.contains("CAP_NET_BIND_SERVICE"), "{why}");
    }

    #[test]
    fn this_machine_has_threads_and_descriptors_for_a_node() {
        check_limits(&Settings::default()).unwrap();
    }
}
