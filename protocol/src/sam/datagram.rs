//! What programs put before a datagram that they send by UDP, and what is put before one that they get.
//!
//! ```text
//! sent       3.x ID DESTINATION [FROM_PORT=] [TO_PORT=] [PROTOCOL=] .. \n | bytes
//! by UDP     DESTINATION [FROM_PORT= TO_PORT=] \n | bytes                          from 3.2 on with ports
//!            [FROM_PORT= TO_PORT= PROTOCOL= \n] | bytes                            raw, with HEADER=true
//! by socket  DATAGRAM RECEIVED DESTINATION= SIZE= [FROM_PORT= TO_PORT=] \n | bytes
//!            RAW RECEIVED SIZE= [FROM_PORT= TO_PORT= PROTOCOL=] \n | bytes
//! ```
//! spec: samv3 §Sending Repliable or Raw Datagrams, §Forwarding Raw or Repliable Datagrams

use super::{MAX_LINE, Params, params};
use crate::streaming::streams::Ports;

/// The longest payload of a datagram with a sender. spec: samv3 §Sending Repliable or Raw Datagrams
pub const MAX_WITH_SENDER: usize = 31_744;
/// The longest payload of a raw one.
pub const MAX_RAW: usize = 32_768;

/// The first line of a datagram that a program sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The session that it is of.
    pub id: String,
    /// Whom it goes to, as it is written.
    pub destination: String,
    /// What else is said.
    pub params: Params,
}

impl Head {
    /// Reads the line, and tells the bytes behind it. `None` if this is no datagram of SAM.
    pub fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let end = bytes.iter().take(MAX_LINE).position(|byte| *byte == b'\n')?;
        let line = std::str::from_utf8(&bytes[..end]).ok()?.trim_end_matches('\r');
        let mut words = line.splitn(4, ' ');
        // spec: samv3 §Version 3.2 Changes — any 3.x.
        words.next()?.strip_prefix("3.").filter(|minor| minor.parse::<u8>().is_ok())?;
        let id = words.next().filter(|id| !id.is_empty())?.to_owned();
        let destination = words.next().filter(|destination| !destination.is_empty())?.to_owned();
        let params = params(words.next().unwrap_or_default()).ok()?;
        Some((Self { id, destination, params }, &bytes[end + 1..]))
    }
}

/// A datagram for a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received<'a> {
    /// Who sent it, in base 64: a destination, or the hash that one of the third kind has. `None` for a raw one.
    pub from: Option<&'a str>,
    /// The ports of its sender and receiver, if they are to be told.
    pub ports: Option<Ports>,
    /// Its protocol.
    pub protocol: u8,
    /// Its bytes.
    pub payload: &'a [u8],
}

impl Received<'_> {
    /// As it is written on the socket of its session.
    pub fn on_socket(&self) -> Vec<u8> {
        let size = self.payload.len();
        let head = match self.from {
            Some(from) => format!("DATAGRAM RECEIVED DESTINATION={from} SIZE={size}{}\n", self.ports()),
            None => match self.ports {
                Some(_) => format!("RAW RECEIVED SIZE={size}{} PROTOCOL={}\n", self.ports(), self.protocol),
                None => format!("RAW RECEIVED SIZE={size}\n"),
            },
        };
        [head.as_bytes(), self.payload].concat()
    }

    /// As it is sent by UDP; a raw one with a line if there is to be a `header`.
    pub fn by_udp(&self, header: bool) -> Vec<u8> {
        let head = match self.from {
            Some(from) => format!("{from}{}\n", self.ports()),
            None if header => {
                let Ports { from, to } = self.ports.unwrap_or_default();
                format!("FROM_PORT={from} TO_PORT={to} PROTOCOL={}\n", self.protocol)
            }
            None => String::new(),
        };
        [head.as_bytes(), self.payload].concat()
    }

    fn ports(&self) -> String {
        self.ports.map_or_else(String::new, |Ports { from, to }| format!(" FROM_PORT={from} TO_PORT={to}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_before_a_datagram_is_read_and_its_bytes_are_left_alone() {
        let (head, rest) = Head::parse(b"3.0 one AAAA FROM_PORT=7 TO_PORT=8\r\nbytes\nand more").unwrap();
        assert_eq!((head.id.as_str(), head.destination.as_str(), rest), ("one", "AAAA", &b"bytes\nand more"[..]));
        assert_eq!((head.params.port("FROM_PORT"), head.params.port("TO_PORT")), (Ok(Some(7)), Ok(Some(8))));
        assert_eq!(Head::parse(b"3.3 one AAAA\n").unwrap().1, b"");
        for wrong in
            ["", "3.0 one AAAA", "2.0 one AAAA\n", "3 one AAAA\n", "3.0 one\n", "3.0  AAAA\n", "3.x one AAAA\n"]
        {
            assert_eq!(Head::parse(wrong.as_bytes()), None, "{wrong:?}");
        }
        assert_eq!(Head::parse(&[b"3.0 one ".to_vec(), vec![b'A'; MAX_LINE], b"\n".to_vec()].concat()), None);
    }

    #[test]
    fn what_comes_is_told_as_its_session_wants_it() {
        let ports = Some(Ports { from: 7, to: 8 });
        let signed = Received { from: Some("AAAA"), ports, protocol: 17, payload: b"xy" };
        assert_eq!(signed.on_socket(), b"DATAGRAM RECEIVED DESTINATION=AAAA SIZE=2 FROM_PORT=7 TO_PORT=8\nxy");
        assert_eq!(signed.by_udp(false), b"AAAA FROM_PORT=7 TO_PORT=8\nxy");
        let old = Received { ports: None, ..signed };
        assert_eq!(
            (old.on_socket(), old.by_udp(true)),
            (b"DATAGRAM RECEIVED DESTINATION=AAAA SIZE=2\nxy".to_vec(), b"AAAA\nxy".to_vec())
        );
        let raw = Received { from: None, ports, protocol: 18, payload: b"xy" };
        assert_eq!(raw.on_socket(), b"RAW RECEIVED SIZE=2 FROM_PORT=7 TO_PORT=8 PROTOCOL=18\nxy");
        assert_eq!(
            (raw.by_udp(true), raw.by_udp(false)),
            (b"FROM_PORT=7 TO_PORT=8 PROTOCOL=18\nxy".to_vec(), b"xy".to_vec())
        );
        let old = Received { ports: None, ..raw };
        assert_eq!(old.on_socket(), b"RAW RECEIVED SIZE=2\nxy");
    }
}
