//! Joins the handshake thread to the rest of the data plane: sessions go to their home threads, failed dials to the
//! control plane.

use super::outcome::Outcome;
use super::{Failed, HandshakeSink};
use crate::event::{Direction, EventSink, News, Received};
use crate::ports::established::Established;
use crate::upward::Upward;
use parking_lot::Mutex;
use ramson_protocol::blame::{Charge, Weight};
use ramson_protocol::dialing::Transport;
use ramson_protocol::id::RouterHash;
use ramson_protocol::link::fault::Fault;
use std::net::SocketAddr;
use std::sync::Arc;

/// Takes a session; false if it could not.
type Adopt = Box<dyn Fn(Established) -> bool + Send + Sync>;

/// Has so many sessions closed of which nobody makes use.
type Crowded = Box<dyn Fn(usize) + Send + Sync>;

struct Bridge {
    adopt: Adopt,
    crowded: Crowded,
    /// Of the handshake thread alone, so nobody waits for it.
    up: Mutex<Upward>,
}

impl HandshakeSink for Bridge {
    fn established(&self, session: Box<Established>) {
        let (peer, addr, direction, skew_ms) = (session.peer, session.addr, session.direction, session.skew_ms);
        if !(self.adopt)(*session) && direction == Direction::Outbound {
            self.failed_dial(peer, addr, "home_thread_full", Fault::Local, Some(skew_ms));
        }
    }

    fn failed(&self, failed: Failed) {
        let charge = Charge::from(failed.outcome);
        if failed.direction == Direction::Inbound && charge.weight > Weight::Nothing {
            // Over TCP the address is beyond doubt. Where we called, somebody else may have sent us.
            self.up.lock().pass(Received::Fault { router: failed.peer, address: Some(failed.addr.ip()), charge });
        }
        // Who called us and failed is counted; only who was called is waited for.
        let (Direction::Outbound, Some(peer)) = (failed.direction, failed.peer) else { return };
        if failed.outcome != Outcome::Shutdown {
            self.failed_dial(peer, failed.addr, failed.outcome.label(), failed.outcome.fault(), failed.skew_ms);
        }
    }

    fn crowded(&self, sessions: usize) {
        (self.crowded)(sessions);
    }

    fn settle(&self) -> bool {
        let mut up = self.up.lock();
        up.deliver();
        up.waiting() == 0
    }
}

impl Bridge {
    fn failed_dial(
        &self,
        peer: RouterHash,
        addr: SocketAddr,
        reason: &'static str,
        fault: Fault,
        skew_ms: Option<i64>,
    ) {
        let transport = Transport::Ntcp2;
        self.up.lock().tell(News::ConnectFailed { peer, transport, addr, reason, fault, skew_ms });
    }
}

/// Gives sessions to `adopt`, and tells `sink` of dials that failed, as [`News::ConnectFailed`].
pub(crate) fn bridge(adopt: Adopt, crowded: Crowded, sink: Arc<dyn EventSink>) -> Arc<dyn HandshakeSink> {
    Arc::new(Bridge { adopt, crowded, up: Mutex::new(Upward::new(sink)) })
}

#[cfg(test)]
mod tests {
    use super::super::outcome::Refusal;
    use super::*;
    use ramson_protocol::ntcp2::error::Cause;

    #[derive(Default)]
    struct Heard(Mutex<Vec<Received>>);

    impl EventSink for Heard {
        fn news(&self, _: Vec<News>) -> Result<(), Vec<News>> {
            Ok(())
        }

        fn received(&self, batch: Vec<Received>) -> Result<(), Vec<Received>> {
            self.0.lock().extend(batch);
            Ok(())
        }
    }

    #[test]
    fn who_called_is_charged_and_where_we_called_nobody_is() {
        let heard = Arc::new(Heard::default());
        let bridge = bridge(Box::new(|_| true), Box::new(|_| {}), Arc::clone(&heard) as Arc<dyn EventSink>);
        let (peer, addr) = (Some(RouterHash([1; 32])), SocketAddr::from(([192, 0, 2, 1], 4000)));
        for outcome in [Outcome::Closed, Outcome::Rate, Outcome::Protocol(Cause::Message2Tag)] {
            bridge.failed(Failed { direction: Direction::Outbound, addr, peer, outcome, skew_ms: None });
        }
        bridge.settle();
        assert!(heard.0.lock().is_empty());
        let outcome = Outcome::Refused(Refusal::WrongAddress);
        bridge.failed(Failed { direction: Direction::Inbound, addr, peer, outcome, skew_ms: None });
        bridge.settle();
        let [Received::Fault { router, address, charge }] = heard.0.lock()[..] else { panic!() };
        assert_eq!((router, address, charge), (peer, Some(addr.ip()), outcome.into()));
    }
}
