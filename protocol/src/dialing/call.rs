//! One router that we are connected to, or want to be: what is tried, and for how long.
//!
//! ```text
//!             RouterInfo            up
//! Resolving ------------> Calling -----> Connected --down--> Ended
//!   ^  |                   |  ^ |           |
//!   |  |                   +--+ |           | wanted: the session is gone, its news on the way
//!   |  |      next way to call  |           |
//!   +--|------------------------|-----------+
//!      | none, or too late      | none left, each way refused or too late
//!      +---------> Ended <------+
//! ```
//! Invariant: every state but `Connected` has a deadline, and a session that stands ends with [`In::Down`]; so no router is
//! waited for without end, whatever news are missing. Who could not be reached is remembered by [`super::desk`].
//!
//! The caller's duty: after any input drain [`Connection::poll_output`] to `None`, then set one timer by
//! [`Connection::poll_timeout`].

use super::Call;
use crate::time::Mono;
use std::collections::VecDeque;
use std::time::Duration;

/// A RouterInfo that is looked for must have come by then: the time that a search may take, and a little more.
pub const RESOLVE_WITHIN: Duration = Duration::from_secs(40);

/// One way of calling must have led to a session, or failed, by then: connecting and shaking hands, for SSU2 with the
/// introduction before them.
pub const CALL_WITHIN: Duration = Duration::from_secs(30);

/// What happened.
#[derive(Clone, Debug)]
pub enum In {
    /// Messages wait for a session.
    Wanted,
    /// The ways to call the router, the best first; none if its RouterInfo is not to be had.
    Resolved(VecDeque<Call>),
    /// The call was not made, or failed by a fault of ours: it says nothing about the router.
    NotCalled,
    /// A call has failed.
    Failed,
    /// A session stands.
    Up,
    /// The last session has ended.
    Down,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "taken apart at once")]
pub enum Out {
    /// Find the RouterInfo, and answer with [`In::Resolved`].
    Resolve,
    /// Call this way.
    Call(Call),
    /// Whatever waits for the router waits in vain.
    Unreachable(Reason),
    /// Nothing is left to be kept.
    Ended,
}

/// Why a router is out of reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Its RouterInfo was not found.
    NoRouterInfo,
    /// It has no address that we can call.
    NoAddress,
    /// Every way to call it failed.
    Refused,
    /// The last way to call it came to no end in time.
    TimedOut,
    /// No way to call it was tried, for want of room here.
    Busy,
}

impl Reason {
    /// The label in the metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::NoRouterInfo => "no_router_info",
            Self::NoAddress => "no_address",
            Self::Refused => "dial",
            Self::TimedOut => "timed_out",
            Self::Busy => "busy",
        }
    }

    /// True if the router itself was called in vain, which says something about it.
    pub fn was_called(self) -> bool {
        matches!(self, Self::Refused | Self::TimedOut)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Resolving { until: Mono },
    Calling { until: Mono, left: VecDeque<Call>, tried: bool },
    Connected,
    Ended,
}

/// The machine.
#[derive(Debug)]
pub struct Connection {
    state: State,
    out: VecDeque<Out>,
}

impl Connection {
    /// For a router that messages wait for.
    pub fn wanted(now: Mono) -> Self {
        let mut new = Self { state: State::Ended, out: VecDeque::new() };
        new.resolve(now);
        new
    }

    /// For a router that has called us.
    pub fn called() -> Self {
        Self { state: State::Connected, out: VecDeque::new() }
    }

    /// True while a session stands.
    pub fn is_connected(&self) -> bool {
        self.state == State::Connected
    }

    /// Something has happened.
    pub fn handle_input(&mut self, now: Mono, input: In) {
        let state = std::mem::replace(&mut self.state, State::Ended);
        self.state = match (state, input) {
            // However we stood: now there is a session.
            (_, In::Up) => State::Connected,
            (State::Resolving { .. }, In::Resolved(calls)) => {
                let none = if calls.is_empty() { Reason::NoAddress } else { Reason::Busy };
                return self.call_next(now, calls, none, false);
            }
            (State::Calling { left, .. }, In::Failed) => return self.call_next(now, left, Reason::Refused, true),
            (State::Calling { left, tried, .. }, In::NotCalled) => {
                return self.call_next(now, left, if tried { Reason::Refused } else { Reason::Busy }, tried);
            }
            // The session ended between the asking and now, and the news of it are on their way.
            (State::Connected, In::Wanted) => return self.resolve(now),
            (State::Connected, In::Down) => {
                self.out.push_back(Out::Ended);
                State::Ended
            }
            (state, In::Wanted | In::Resolved(_) | In::Failed | In::NotCalled | In::Down) => state,
        };
    }

    /// The RouterInfo that was looked for is not to be had.
    pub fn not_found(&mut self) {
        if matches!(self.state, State::Resolving { .. }) {
            self.give_up(Reason::NoRouterInfo);
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Mono) {
        if self.poll_timeout().is_none_or(|due| now < due) {
            return;
        }
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Resolving { .. } => self.give_up(Reason::NoRouterInfo),
            State::Calling { left, .. } => self.call_next(now, left, Reason::TimedOut, true),
            state @ (State::Connected | State::Ended) => self.state = state,
        }
    }

    /// When [`Connection::handle_timeout`] is to be called.
    pub fn poll_timeout(&self) -> Option<Mono> {
        match self.state {
            State::Resolving { until } | State::Calling { until, .. } => Some(until),
            State::Connected | State::Ended => None,
        }
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<Out> {
        self.out.pop_front()
    }

    fn resolve(&mut self, now: Mono) {
        self.state = State::Resolving { until: now + RESOLVE_WITHIN };
        self.out.push_back(Out::Resolve);
    }

    /// Tries the next way; without one the router is unreachable, for `reason`. `tried` says that a call has failed.
    fn call_next(&mut self, now: Mono, mut left: VecDeque<Call>, reason: Reason, tried: bool) {
        match left.pop_front() {
            Some(call) => {
                self.state = State::Calling { until: now + CALL_WITHIN, left, tried };
                self.out.push_back(Out::Call(call));
            }
            None => self.give_up(reason),
        }
    }

    fn give_up(&mut self, reason: Reason) {
        self.state = State::Ended;
        self.out.extend([Out::Unreachable(reason), Out::Ended]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn call(port: u16) -> Call {
        let static_key = ramson_crypto::x25519::SecretKey::from_bytes([1; 32]).public();
        Call::Ntcp2 { addr: ([127, 0, 0, 1], port).into(), static_key, iv: [0; 16] }
    }

    fn at(secs: u64) -> Mono {
        Duration::from_secs(secs)
    }

    fn outputs(connection: &mut Connection) -> Vec<Out> {
        std::iter::from_fn(|| connection.poll_output()).collect()
    }

    #[test]
    fn each_way_is_tried_and_a_session_ends_the_calling() {
        let mut c = Connection::wanted(at(0));
        assert_eq!(outputs(&mut c), [Out::Resolve]);
        c.handle_input(at(1), In::Resolved([call(1), call(2)].into()));
        assert_eq!(outputs(&mut c), [Out::Call(call(1))]);
        c.handle_input(at(2), In::Failed);
        assert_eq!(outputs(&mut c), [Out::Call(call(2))]);
        c.handle_input(at(3), In::Up);
        c.handle_input(at(4), In::Failed);
        assert!(c.is_connected() && outputs(&mut c).is_empty());
        c.handle_input(at(5), In::Down);
        assert_eq!(outputs(&mut c), [Out::Ended]);
    }

    /// Without this a router whose failure was lost was never called again.
    #[test]
    fn a_call_of_which_no_news_come_ends_in_time() {
        let mut c = Connection::wanted(at(0));
        c.handle_input(at(0), In::Resolved([call(1), call(2)].into()));
        outputs(&mut c);
        c.handle_timeout(at(0) + CALL_WITHIN);
        assert_eq!(outputs(&mut c), [Out::Call(call(2))]);
        c.handle_timeout(at(0) + 2 * CALL_WITHIN);
        assert_eq!(outputs(&mut c), [Out::Unreachable(Reason::TimedOut), Out::Ended]);
        c.handle_input(at(70), In::Wanted);
        assert_eq!(outputs(&mut c), []);
    }

    /// Without this, what our own limits refused was held against the router, and it was left alone for a minute.
    #[test]
    fn a_router_that_was_not_called_for_want_of_room_here_is_not_to_blame() {
        for (first, second, reason) in [
            (In::NotCalled, In::NotCalled, Reason::Busy),
            (In::NotCalled, In::Failed, Reason::Refused),
            (In::Failed, In::NotCalled, Reason::Refused),
        ] {
            let mut c = Connection::wanted(at(0));
            c.handle_input(at(1), In::Resolved([call(1), call(2)].into()));
            c.handle_input(at(1), first);
            c.handle_input(at(1), second);
            assert_eq!(outputs(&mut c).split_off(3), [Out::Unreachable(reason), Out::Ended]);
            assert_eq!(reason.was_called(), reason == Reason::Refused);
        }
    }

    #[test]
    fn a_router_info_that_does_not_come_is_waited_for_in_vain_only_so_long() {
        let mut c = Connection::wanted(at(0));
        c.handle_timeout(RESOLVE_WITHIN);
        assert_eq!(outputs(&mut c), [Out::Resolve, Out::Unreachable(Reason::NoRouterInfo), Out::Ended]);
        let mut c = Connection::wanted(at(0));
        c.not_found();
        assert_eq!(outputs(&mut c), [Out::Resolve, Out::Unreachable(Reason::NoRouterInfo), Out::Ended]);
    }

    #[test]
    fn messages_that_wait_for_a_session_that_is_gone_have_it_called_anew() {
        let mut c = Connection::called();
        c.handle_input(at(9), In::Wanted);
        assert_eq!(outputs(&mut c), [Out::Resolve]);
        // The news of its end come late, and end nothing.
        c.handle_input(at(9), In::Down);
        assert!(outputs(&mut c).is_empty() && c.poll_timeout().is_some());
    }

    proptest! {
        #[test]
        fn whatever_comes_a_state_without_a_session_has_a_deadline(steps in proptest::collection::vec(0..8_u8, 0..60)) {
            let (mut c, mut now, mut ended) = (Connection::wanted(at(0)), at(0), false);
            for step in steps {
                now += Duration::from_secs(7);
                match step {
                    0 => c.handle_input(now, In::Wanted),
                    1 => c.handle_input(now, In::Resolved([call(1), call(2)].into())),
                    2 => c.handle_input(now, In::Resolved(VecDeque::new())),
                    3 => c.handle_input(now, In::Failed),
                    4 => c.handle_input(now, In::Up),
                    5 => c.handle_input(now, In::Down),
                    6 => c.not_found(),
                    _ => c.handle_timeout(now),
                }
                ended |= outputs(&mut c).contains(&Out::Ended);
                if ended {
                    break;
                }
                prop_assert!(c.is_connected() != c.poll_timeout().is_some());
            }
        }
    }
}
