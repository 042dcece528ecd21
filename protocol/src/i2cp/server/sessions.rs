//! What is kept of a session: what its program waits to hear, and what waits for its program.

use crate::i2cp::session::Request;
use bytes::Bytes;
use std::collections::BTreeMap;

/// Payloads whose program waits to hear what became of them; of the oldest beyond it is not told.
const MAX_EXPECTED: usize = 4096;

/// Payloads that were announced and not fetched.
const MAX_KEPT: usize = 256;
const MAX_KEPT_BYTES: usize = 1 << 20;

/// A session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) request: Request,
    number: u32,
    /// What its program calls those that it waits to hear of.
    expected: BTreeMap<u32, u32>,
    kept: BTreeMap<u32, Bytes>,
    kept_bytes: usize,
}

impl Session {
    pub(super) fn new(request: &Request) -> Self {
        Self { request: request.clone(), number: 0, expected: BTreeMap::new(), kept: BTreeMap::new(), kept_bytes: 0 }
    }

    pub(super) fn reconfigure(&mut self, request: &Request) {
        (self.request.inbound, self.request.outbound) = (request.inbound, request.outbound);
    }

    /// The number of the next payload.
    pub(super) fn number(&mut self) -> u32 {
        self.number = self.number.wrapping_add(1);
        self.number
    }

    /// The number by which is told what becomes of a payload, if its program wants to know.
    pub(super) fn expect(&mut self, nonce: u32) -> Option<u32> {
        if nonce == 0 {
            return None;
        }
        if self.expected.len() >= MAX_EXPECTED {
            self.expected.pop_first();
        }
        let number = self.number();
        self.expected.insert(number, nonce);
        Some(number)
    }

    /// What its program calls a payload of whose fate it is told now.
    pub(super) fn told(&mut self, number: u32) -> Option<u32> {
        self.expected.remove(&number)
    }

    /// Keeps a payload until it is fetched. False if there is no room.
    pub(super) fn keep(&mut self, number: u32, payload: Bytes) -> bool {
        let room = self.kept.len() < MAX_KEPT && self.kept_bytes + payload.len() <= MAX_KEPT_BYTES;
        if room {
            self.kept_bytes += payload.len();
            self.kept.insert(number, payload);
        }
        room
    }

    /// A payload that waits.
    pub(super) fn kept(&self, number: u32) -> Option<Bytes> {
        self.kept.get(&number).cloned()
    }

    /// It is not needed any more.
    pub(super) fn taken(&mut self, number: u32) {
        if let Some(payload) = self.kept.remove(&number) {
            self.kept_bytes -= payload.len();
        }
    }
}
