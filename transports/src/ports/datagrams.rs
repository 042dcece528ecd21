//! Datagrams on their way from the thread that received them to the one whose they are.

use ramson_protocol::ssu2::local::OurEnd;
use std::net::SocketAddr;

/// A batch is handed over before it grows above this.
const FULL: usize = 128 * 1024;

/// Several datagrams, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Datagrams {
    bytes: Vec<u8>,
    heads: Vec<Head>,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    origin: Origin,
    id: u64,
    len: usize,
}

/// How a datagram reached us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Who sent it.
    pub(crate) from: SocketAddr,
    /// Where it came in.
    pub(crate) local: OurEnd,
    /// A router on the way was congested.
    pub(crate) congested: bool,
}

impl Datagrams {
    /// Adds one with its connection id.
    pub(crate) fn push(&mut self, origin: Origin, id: u64, datagram: &[u8]) {
        self.bytes.extend_from_slice(datagram);
        self.heads.push(Head { origin, id, len: datagram.len() });
    }

    pub(crate) fn len(&self) -> usize {
        self.heads.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// True if it should be handed over now.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= FULL
    }

    /// Each datagram, to be opened in place.
    pub(crate) fn for_each(&mut self, mut take: impl FnMut(Origin, u64, &mut [u8])) {
        let mut rest = self.bytes.as_mut_slice();
        for head in &self.heads {
            let (datagram, behind) = rest.split_at_mut(head.len);
            rest = behind;
            take(head.origin, head.id, datagram);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_comes_out_in_its_order() {
        let mut all = Datagrams::default();
        let origin = |n| Origin { from: "127.0.0.1:9".parse().unwrap(), local: OurEnd::socket(n), congested: false };
        for n in 0..5 {
            all.push(origin(n), n as u64, &vec![n as u8; 10 + n]);
        }
        assert_eq!((all.len(), all.is_empty(), all.is_full()), (5, false, false));
        let mut seen = 0;
        all.for_each(|came, id, datagram| {
            assert_eq!((came, id), (origin(seen), seen as u64));
            assert_eq!(datagram, vec![seen as u8; 10 + seen]);
            seen += 1;
        });
        assert_eq!(seen, 5);
        all.push(origin(0), 0, &vec![0; FULL]);
        assert!(all.is_full());
    }
}
