//! Where the peer is: the proven address, and another one that its packets have begun to come from.
//!
//! ```text
//!            a new packet from elsewhere                     the right answer from there
//!  Proven ------------------------------> Challenged ----------------------------------> Proven (moved)
//!     ^                                       |  a newer packet from the proven address, or no answer in time
//!     '---------------------------------------'
//! ```
//! Everything but the challenge goes to the proven address until the answer is here, so an outsider who forwards packets
//! from an address of his own changes nothing. To an address that is not proven go at most three times as many bytes as
//! came from it.
//!
//! spec: ssu2 §Connection Migration

use crate::time::Mono;
use smallvec::SmallVec;
use std::net::SocketAddr;
use std::time::Duration;

/// How long an address has to answer.
const VALIDATION: Duration = Duration::from_secs(4);
/// The longest challenge that is answered. The specification recommends eight bytes.
pub const MAX_CHALLENGE: usize = 64;
/// Bytes that may go to an unproven address for each that came from it.
const AMPLIFICATION: u64 = 3;

/// An address that is not proven.
#[derive(Debug)]
struct Candidate {
    addr: SocketAddr,
    data: [u8; 8],
    /// The packet that came from there first.
    number: u32,
    received: u64,
    sent: u64,
    next: Mono,
    wait: Duration,
    until: Mono,
}

/// Data to be returned to where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Where the challenge came from.
    pub to: SocketAddr,
    /// What it held.
    pub data: SmallVec<[u8; MAX_CHALLENGE]>,
}

/// Counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Addresses that were challenged.
    pub challenged: u64,
    /// Addresses that did not answer.
    pub unanswered: u64,
    /// Challenges dropped because the peer went on sending from where it was.
    pub cancelled: u64,
    /// Times the peer moved.
    pub moved: u64,
}

/// The peer's addresses.
#[derive(Debug)]
pub struct Path {
    proven: SocketAddr,
    candidate: Option<Candidate>,
    answer: Option<Answer>,
    /// Counters.
    pub stats: Stats,
}

impl Path {
    /// At the address that the handshake proved.
    pub fn new(addr: SocketAddr) -> Self {
        Self { proven: addr, candidate: None, answer: None, stats: Stats::default() }
    }

    /// The proven address.
    pub fn addr(&self) -> SocketAddr {
        self.proven
    }

    /// An authenticated packet of `len` bytes that has not been here before. `highest`: no later one has arrived, so
    /// that it says where the peer is now. `data` is random.
    pub fn on_packet(
        &mut self,
        from: SocketAddr,
        number: u32,
        highest: bool,
        len: usize,
        data: [u8; 8],
        now: Mono,
        timeout: Duration,
    ) {
        if from == self.proven {
            if highest && self.candidate.as_ref().is_some_and(|c| number > c.number) {
                self.candidate = None;
                self.stats.cancelled += 1;
            }
            return;
        }
        match &mut self.candidate {
            Some(c) if c.addr == from => c.received += len as u64,
            _ if highest && is_plausible(self.proven, from) => {
                let (received, wait) = (len as u64, timeout);
                let until = now + VALIDATION;
                self.candidate =
                    Some(Candidate { addr: from, data, number, received, sent: 0, next: now, wait, until });
                self.stats.challenged += 1;
            }
            _ => {}
        }
    }

    /// The peer challenges us from `from`.
    pub fn on_challenge(&mut self, from: SocketAddr, data: &[u8]) {
        // From an address that is neither proven nor under challenge the peer has not been heard lately: it would be
        // the first packet from there, and has just become the candidate.
        let known = from == self.proven || self.candidate.as_ref().is_some_and(|c| c.addr == from);
        if known && data.len() <= MAX_CHALLENGE {
            self.answer = Some(Answer { to: from, data: SmallVec::from_slice(data) });
        }
    }

    /// The peer returns data from `from`. `Some` with the old address if it has moved there.
    pub fn on_response(&mut self, from: SocketAddr, data: &[u8]) -> Option<SocketAddr> {
        self.candidate.take_if(|c| c.addr == from && c.data == *data)?;
        self.stats.moved += 1;
        Some(std::mem::replace(&mut self.proven, from))
    }

    /// A challenge that is due: where to, and with what. `len` is the size of the packet that it would make.
    pub fn challenge(&mut self, len: usize, now: Mono) -> Option<(SocketAddr, [u8; 8])> {
        let c = self.candidate.as_mut().filter(|c| c.next <= now)?;
        c.next = now + c.wait;
        c.wait *= 2;
        c.spend(len).then_some((c.addr, c.data))
    }

    /// An answer that is due. `len` is the size of the packet that it would make.
    pub fn answer(&mut self, len: usize) -> Option<Answer> {
        let answer = self.answer.take()?;
        match &mut self.candidate {
            Some(c) if c.addr == answer.to => c.spend(len).then_some(answer),
            _ => (answer.to == self.proven).then_some(answer),
        }
    }

    /// Something is to be sent here and not in an ordinary packet.
    pub fn wants_to_send(&self, now: Mono) -> bool {
        self.answer.is_some() || self.candidate.as_ref().is_some_and(|c| c.next <= now)
    }

    /// When a challenge is due or its time is up.
    pub fn deadline(&self) -> Option<Mono> {
        self.candidate.as_ref().map(|c| c.next.min(c.until))
    }

    /// Gives up an address that has not answered in time.
    pub fn on_timeout(&mut self, now: Mono) {
        if self.candidate.take_if(|c| c.until <= now).is_some() {
            self.stats.unanswered += 1;
        }
    }
}

impl Candidate {
    /// Counts a packet; false if it must not be sent.
    fn spend(&mut self, len: usize) -> bool {
        let sent = self.sent + len as u64;
        let within = sent <= self.received * AMPLIFICATION;
        if within {
            self.sent = sent;
        }
        within
    }
}

/// An address that a peer can have moved to.
fn is_plausible(from: SocketAddr, to: SocketAddr) -> bool {
    let ip = to.ip();
    from.is_ipv4() == to.is_ipv4() && to.port() != 0 && !ip.is_unspecified() && !ip.is_multicast()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: [u8; 8] = [7; 8];
    const WAIT: Duration = Duration::from_millis(200);

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn challenged() -> Path {
        let mut path = Path::new(at(1));
        path.on_packet(at(2), 10, true, 100, DATA, Mono::ZERO, WAIT);
        assert_eq!(path.challenge(90, Mono::ZERO), Some((at(2), DATA)));
        path
    }

    #[test]
    fn the_peer_moves_when_the_new_address_answers_and_not_before() {
        let mut path = challenged();
        assert_eq!(path.addr(), at(1));
        assert_eq!(path.on_response(at(2), &[6; 8]), None);
        assert_eq!(path.on_response(at(3), &DATA), None);
        assert_eq!(path.on_response(at(2), &DATA), Some(at(1)));
        assert_eq!((path.addr(), path.deadline()), (at(2), None));
    }

    #[test]
    fn at_most_three_times_what_came_goes_to_an_unproven_address() {
        let mut path = challenged();
        assert_eq!(path.challenge(90, WAIT / 2), None, "not yet");
        assert!(path.challenge(90, WAIT).is_some());
        assert_eq!(path.challenge(90, WAIT * 2), None);
        assert!(path.challenge(90, WAIT * 3).is_some());
        assert_eq!(path.challenge(90, WAIT * 8), None, "300 bytes are used up");
        path.on_challenge(at(2), &DATA);
        assert_eq!(path.answer(60), None);
        path.on_packet(at(2), 11, true, 100, DATA, WAIT, WAIT);
        path.on_challenge(at(2), &DATA);
        assert!(path.answer(60).is_some());
    }

    #[test]
    fn a_newer_packet_from_the_proven_address_ends_the_challenge_and_an_older_one_does_not() {
        let mut path = challenged();
        path.on_packet(at(1), 9, false, 100, DATA, Mono::ZERO, WAIT);
        assert!(path.deadline().is_some());
        path.on_packet(at(1), 11, true, 100, DATA, Mono::ZERO, WAIT);
        assert_eq!(path.deadline(), None);
        path.on_packet(at(2), 10, false, 100, DATA, Mono::ZERO, WAIT);
        assert_eq!(path.deadline(), None, "a late packet from elsewhere says nothing");
        assert_eq!(path.stats, Stats { challenged: 1, cancelled: 1, ..Stats::default() });
    }

    #[test]
    fn an_address_that_does_not_answer_is_given_up() {
        let mut path = challenged();
        path.on_timeout(VALIDATION - WAIT);
        assert!(path.deadline().is_some());
        path.on_timeout(VALIDATION);
        assert_eq!((path.deadline(), path.addr(), path.stats.unanswered), (None, at(1), 1));
    }

    #[test]
    fn challenges_are_answered_to_where_they_came_from() {
        let mut path = Path::new(at(1));
        path.on_challenge(at(5), &DATA);
        assert_eq!(path.answer(60), None, "a stranger");
        path.on_challenge(at(1), &[0; MAX_CHALLENGE + 1]);
        assert_eq!(path.answer(60), None, "too long");
        path.on_challenge(at(1), b"ping");
        assert_eq!(path.answer(60), Some(Answer { to: at(1), data: SmallVec::from_slice(b"ping") }));
        assert_eq!(path.answer(60), None);
    }

    #[test]
    fn addresses_that_nobody_can_have_are_not_challenged() {
        let mut path = Path::new(at(1));
        for bad in ["[2001:db8::1]:9", "224.0.0.1:9", "0.0.0.0:9", "192.0.2.1:0"] {
            path.on_packet(bad.parse().unwrap(), 1, true, 100, DATA, Mono::ZERO, WAIT);
        }
        assert_eq!(path.deadline(), None);
    }
}
