//! Joins the handshake thread to the rest of the data plane: sessions go to their home threads, failed dials to the
//! control plane.

use super::outcome::Outcome;
use super::{Failed, HandshakeConfig, HandshakeHandle, HandshakeSink, spawn};
use crate::event::{Direction, Event, EventSink};
use crate::ports::established::Established;
use ramson_protocol::dialing::Transport;
use ramson_protocol::id::RouterHash;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

/// Takes a session; false if it could not.
type Adopt = Box<dyn Fn(Established) -> bool + Send + Sync>;

struct Bridge {
    adopt: Adopt,
    sink: Arc<dyn EventSink>,
}

impl HandshakeSink for Bridge {
    fn established(&self, session: Box<Established>) {
        let (peer, addr, direction, skew_ms) = (session.peer, session.addr, session.direction, session.skew_ms);
        if !(self.adopt)(*session) && direction == Direction::Outbound {
            self.failed_dial(peer, addr, "home_thread_full", Some(skew_ms));
        }
    }

    fn failed(&self, failed: Failed) {
        // Who called us and failed is counted; only who was called is waited for.
        let (Direction::Outbound, Some(peer)) = (failed.direction, failed.peer) else { return };
        if failed.outcome != Outcome::Shutdown {
            self.failed_dial(peer, failed.addr, failed.outcome.label(), failed.skew_ms);
        }
    }
}

impl Bridge {
    fn failed_dial(&self, peer: RouterHash, addr: SocketAddr, reason: &'static str, skew_ms: Option<i64>) {
        let event = Event::ConnectFailed { peer, transport: Transport::Ntcp2, addr, reason, skew_ms };
        // A control plane that does not keep up finds the router unconnected at its next look.
        let _: Result<(), Vec<Event>> = self.sink.deliver(vec![event]);
    }
}

/// [`spawn`], with sessions given to `adopt` and failed dials to `sink` as [`Event::ConnectFailed`].
///
/// # Errors
/// As [`spawn`].
pub fn start(
    config: HandshakeConfig,
    adopt: Adopt,
    sink: Arc<dyn EventSink>,
) -> io::Result<(HandshakeHandle, JoinHandle<()>)> {
    spawn(config, Arc::new(Bridge { adopt, sink }))
}
