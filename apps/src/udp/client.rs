//! A UDP client tunnel: what programs of this machine send to a socket goes to one destination, and answers come back.
//!
//! ```text
//! 127.0.0.1:40000 --> socket --> port 40000 of ours, if it is free --> the destination's port
//! ```

use super::flow::{Flow, IDLE};
use super::{Datagrams, Kind, LONGEST, Received};
use crate::names::Names;
use crate::network::Target;
use crate::series::REFUSED;
use crate::tunnel::Remote;
use bytes::Bytes;
use ramson_protocol::id::DestinationHash;
use ramson_protocol::streaming::streams::Ports;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep};

/// Programs' ports at a time; with one more the one that was used longest ago gives way.
const FLOWS: usize = 2048;

/// Datagrams that wait to go to programs.
const WAITING: usize = 256;

/// A socket that reports an error is asked again after this.
const PAUSE: Duration = Duration::from_millis(1);

/// Whom a tunnel leads to.
pub struct Config {
    /// Whom.
    pub remote: Remote,
    /// His port.
    pub port: u16,
    /// Which kind of datagrams names us.
    pub kind: Kind,
}

struct Client {
    socket: UdpSocket,
    datagrams: Datagrams,
    names: Names,
    config: Config,
    to: mpsc::Sender<Received>,
    flows: BTreeMap<SocketAddr, (u16, DestinationHash, Flow)>,
    programs: BTreeMap<u16, SocketAddr>,
}

/// Carries datagrams until the task is dropped.
pub async fn run(socket: UdpSocket, datagrams: Datagrams, names: Names, config: Config) {
    let (to, mut received) = mpsc::channel(WAITING);
    let mut client = Client { socket, datagrams, names, config, to, flows: BTreeMap::new(), programs: BTreeMap::new() };
    let (mut buffer, mut sweep) = (vec![0; LONGEST], interval(IDLE / 4));
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            got = client.socket.recv_from(&mut buffer) => match got {
                Ok((len, program)) => client.send(program, &buffer[..len]),
                // What is reported is the fate of one that we sent.
                Err(_) => sleep(PAUSE).await,
            },
            Some(datagram) = received.recv() => client.deliver(&datagram),
            _ = sweep.tick() => client.sweep(),
        }
    }
}

impl Client {
    fn send(&mut self, program: SocketAddr, payload: &[u8]) {
        let now = Instant::now();
        if !self.flows.contains_key(&program) {
            match self.begin(program, now) {
                Ok(flow) => drop(self.flows.insert(program, flow)),
                Err(error) => {
                    REFUSED.add(["udp-client", "no_way"], 1);
                    return tracing::debug!(%error, "a datagram of a program goes nowhere");
                }
            }
        }
        let Some((port, remote, flow)) = self.flows.get_mut(&program) else { return };
        let ports = Ports { from: *port, to: self.config.port };
        self.datagrams.send(*remote, ports, &flow.next(now), Bytes::copy_from_slice(payload));
    }

    fn begin(&mut self, program: SocketAddr, now: Instant) -> Result<(u16, DestinationHash, Flow), String> {
        if self.flows.len() >= FLOWS {
            let longest = self.flows.iter().min_by_key(|(_, (_, _, flow))| flow.used()).map(|(program, _)| *program);
            if let Some((port, ..)) = longest.and_then(|longest| self.flows.remove(&longest)) {
                self.datagrams.release(port);
                self.programs.remove(&port);
            }
        }
        let Target::Hash(remote) = self.config.remote.find(&self.names)? else {
            return Err("the destination's LeaseSet is encrypted, which datagrams do not read yet".to_owned());
        };
        let port = self.datagrams.claim(program.port(), &self.to).ok_or("no port is free")?;
        self.programs.insert(port, program);
        Ok((port, remote, Flow::new(self.config.kind, now)))
    }

    fn deliver(&mut self, datagram: &Received) {
        let program = self.programs.get(&datagram.ports.to).copied();
        let Some(program) = program else { return };
        let Some((port, remote, flow)) = self.flows.get_mut(&program) else { return };
        // Nobody else may answer.
        if datagram.from != Some(*remote) {
            return REFUSED.add(["udp-client", "another_sender"], 1);
        }
        if let Some(answer) = flow.heard(&datagram.options, Instant::now()) {
            let ports = Ports { from: *port, to: self.config.port };
            self.datagrams.send(*remote, ports, &answer, Bytes::new());
        }
        if !datagram.payload.is_empty() {
            // A program that does not keep up loses it.
            let _ = self.socket.try_send_to(&datagram.payload, program);
        }
    }

    fn sweep(&mut self) {
        let now = Instant::now();
        let (datagrams, programs) = (&self.datagrams, &mut self.programs);
        self.flows.retain(|_, (port, _, flow)| {
            let stays = !flow.is_idle(now);
            if !stays {
                datagrams.release(*port);
                programs.remove(port);
            }
            stays
        });
    }
}
