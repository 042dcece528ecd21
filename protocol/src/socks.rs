//! SOCKS 4, 4a and 5: what a program tells a proxy before its bytes flow.
//!
//! ```text
//! 4, 4a   4 | command 1 | port 2 | address 4 | user .. 0 | name .. 0 (4a, if the address is 0.0.0.x, x not 0)
//!         <- 0 | 90 granted, 91 refused | port 2 | address 4
//! 5       5 | count 1 | methods          <- 5 | method: 0 none, 2 user and password, 255 no acceptable one
//!         1 | user 1+n | password 1+n    <- 1 | 0                                        only with method 2
//!         5 | command 1 | 0 | kind of address 1 | address | port 2
//!                                        <- 5 | reply 1 | 0 | kind | address | port 2
//! ```
//! Command 1 is a connection. 3 asks for a port for datagrams ([`datagram`]), which lives as long as the connection that asked.
//! Only names are taken: a program that has an address already has asked somebody for it, and what it asks for is not in I2P.
//! Nothing is looked up anywhere. An answer names the address 127.0.0.1 and port 1.
//! INTEROP: Java's answers do, and i2pd takes any password, too: it says who asks, not whether he may.
//!
//! spec: socks §Overview; RFC 1928, RFC 1929, and the memoranda SOCKS 4 and 4a

pub mod datagram;

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The longest text of SOCKS 4 and 4a; 5 cannot have longer ones.
const MAX_TEXT: usize = 255;

const VERSION_4: u8 = 4;
const VERSION_5: u8 = 5;
const CONNECT: u8 = 1;
const ASSOCIATE: u8 = 3;
const NO_AUTHENTICATION: u8 = 0;
const PASSWORD: u8 = 2;
const NO_METHOD: u8 = 0xff;
const PASSWORD_VERSION: u8 = 1;

/// Which kind of address a request of SOCKS 5 has.
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// What answers name as the address that we call from.
const BOUND: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

/// Which of the protocols a program speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// SOCKS 4 or 4a.
    Four,
    /// SOCKS 5.
    Five,
}

/// Why a request is not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// It is no SOCKS, or breaks its rules.
    #[error("it does not speak SOCKS 4a or 5")]
    Malformed,
    /// It offers no way to begin that we take.
    #[error("it insists on a kind of authentication that there is not")]
    NoMethod,
    /// It wants to be called, or something unheard of.
    #[error("it wants something else than a connection or a port for datagrams")]
    Command,
    /// It names an address instead of a name.
    #[error("it names an address by number: let the proxy resolve names (socks5h, remote DNS)")]
    Address,
    /// What it names is not in I2P.
    #[error("the name is not in I2P")]
    NotI2p,
    /// Nobody knows the name, or nobody has its LeaseSet.
    #[error("the destination is not known")]
    Unknown,
    /// We have no tunnels.
    #[error("there are no tunnels yet")]
    NoTunnels,
    /// It did not answer in time.
    #[error("it did not answer in time")]
    TimedOut,
    /// It does not want us.
    #[error("it refused the connection")]
    Refused,
    /// As many programs have said other names as can have a destination of their own.
    #[error("there are too many users")]
    TooMany,
    /// We cannot.
    #[error("the proxy failed")]
    Failed,
}

impl Refusal {
    /// All there are.
    pub const ALL: [Self; 11] = [
        Self::Malformed,
        Self::NoMethod,
        Self::Command,
        Self::Address,
        Self::NotI2p,
        Self::Unknown,
        Self::NoTunnels,
        Self::TimedOut,
        Self::Refused,
        Self::TooMany,
        Self::Failed,
    ];

    /// Its name in counts and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::NoMethod => "no_method",
            Self::Command => "command",
            Self::Address => "address",
            Self::NotI2p => "not_i2p",
            Self::Unknown => "unknown",
            Self::NoTunnels => "no_tunnels",
            Self::TimedOut => "timed_out",
            Self::Refused => "refused",
            Self::TooMany => "too_many_users",
            Self::Failed => "failed",
        }
    }

    /// The reply of SOCKS 5. SOCKS 4 has but one.
    const fn reply(self) -> u8 {
        match self {
            Self::Malformed | Self::NoMethod | Self::TooMany | Self::Failed => 1,
            Self::NotI2p => 2,
            Self::NoTunnels => 3,
            Self::Unknown => 4,
            Self::Refused => 5,
            Self::TimedOut => 6,
            Self::Command => 7,
            Self::Address => 8,
        }
    }
}

/// Whom a program wants to reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// As it wrote the name; printable ASCII.
    pub host: String,
    /// The port there.
    pub port: u16,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Out {
    /// Write this to the program.
    Write(Vec<u8>),
    /// Connect, then say what came of it by [`Negotiation::granted`] or [`Negotiation::refuse`].
    Connect(Request),
    /// Open a port for its datagrams, then say where by [`Negotiation::associated`] or that there is none by
    /// [`Negotiation::refuse`].
    Associate,
    /// It is over: close the connection when all is written.
    Close(Refusal),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing is known yet.
    Greeting,
    /// It is to say who it is.
    Password,
    /// It is to say what it wants.
    Request,
    /// We call.
    Calling(Version),
    /// Nothing more is to be said.
    Over,
}

/// One program's words, from its first byte to the answer.
///
/// ```text
/// Greeting --4--> Calling --granted, refused--> Over
///    '-----5--> [Password] -> Request --> Calling
/// ```
#[derive(Debug)]
pub struct Negotiation {
    state: State,
    asks_who: bool,
    user: Vec<u8>,
    bytes: Vec<u8>,
    out: VecDeque<Out>,
}

impl Default for Negotiation {
    fn default() -> Self {
        Self { state: State::Greeting, asks_who: false, user: Vec::new(), bytes: Vec::new(), out: VecDeque::new() }
    }
}

impl Negotiation {
    /// One that has a program say who it is, if it offers that.
    pub fn asking_who() -> Self {
        Self { asks_who: true, ..Self::default() }
    }

    /// Who the program has said that it is; empty if it has not.
    pub fn user(&self) -> &[u8] {
        &self.user
    }

    /// Bytes of the program. No more are taken once it waits for an answer: see [`Negotiation::into_rest`].
    pub fn handle_input(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        loop {
            let before = self.state;
            let step = match self.state {
                State::Greeting => self.greeting(),
                State::Password => self.password(),
                State::Request => self.request(),
                State::Calling(_) | State::Over => return,
            };
            match step {
                Ok(()) if self.state == before => return,
                Ok(()) => {}
                Err((version, refusal)) => return self.end(version, refusal),
            }
        }
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<Out> {
        self.out.pop_front()
    }

    /// The call has been answered: what follows are bytes of the stream.
    pub fn granted(&mut self) {
        if let State::Calling(version) = self.state {
            self.state = State::Over;
            self.out.push_back(Out::Write(answer(version, None, BOUND)));
        }
    }

    /// The port for datagrams is open there.
    pub fn associated(&mut self, at: SocketAddr) {
        if let State::Calling(version) = self.state {
            self.state = State::Over;
            self.out.push_back(Out::Write(answer(version, None, at)));
        }
    }

    /// The call has failed.
    pub fn refuse(&mut self, refusal: Refusal) {
        if let State::Calling(version) = self.state {
            self.end(Some(version), refusal);
        }
    }

    /// What the program sent beyond its request: the first bytes for the other side.
    pub fn into_rest(self) -> Vec<u8> {
        self.bytes
    }

    fn end(&mut self, version: Option<Version>, refusal: Refusal) {
        self.state = State::Over;
        if let Some(version) = version {
            self.out.push_back(Out::Write(answer(version, Some(refusal), BOUND)));
        }
        self.out.push_back(Out::Close(refusal));
    }

    fn take(&mut self, len: usize) {
        self.bytes.drain(..len);
    }

    /// Nothing happens as long as something is missing.
    fn greeting(&mut self) -> Step {
        match self.bytes.first() {
            None => Ok(()),
            Some(&VERSION_4) => self.request_4(),
            Some(&VERSION_5) => {
                let Some(&count) = self.bytes.get(1) else { return Ok(()) };
                let len = 2 + usize::from(count);
                let Some(methods) = self.bytes.get(2..len) else { return Ok(()) };
                let offers = |method| methods.contains(&method);
                let (method, next) = if offers(NO_AUTHENTICATION) && !(self.asks_who && offers(PASSWORD)) {
                    (NO_AUTHENTICATION, State::Request)
                } else if offers(PASSWORD) {
                    (PASSWORD, State::Password)
                } else {
                    self.out.push_back(Out::Write(vec![VERSION_5, NO_METHOD]));
                    return Err((None, Refusal::NoMethod));
                };
                self.take(len);
                self.state = next;
                self.out.push_back(Out::Write(vec![VERSION_5, method]));
                Ok(())
            }
            Some(_) => Err((None, Refusal::Malformed)),
        }
    }

    fn password(&mut self) -> Step {
        if self.bytes.first().is_some_and(|version| *version != PASSWORD_VERSION) {
            return Err((None, Refusal::Malformed));
        }
        let Some(user) = self.bytes.get(1).map(|len| usize::from(*len)) else { return Ok(()) };
        let Some(password) = self.bytes.get(2 + user).map(|len| usize::from(*len)) else { return Ok(()) };
        let len = 3 + user + password;
        if self.bytes.len() >= len {
            self.user = self.bytes[2..2 + user].to_vec();
            self.take(len);
            self.state = State::Request;
            self.out.push_back(Out::Write(vec![PASSWORD_VERSION, 0]));
        }
        Ok(())
    }

    fn request(&mut self) -> Step {
        let failed = |refusal| Err((Some(Version::Five), refusal));
        if self.bytes.first().is_some_and(|version| *version != VERSION_5) {
            return failed(Refusal::Malformed);
        }
        let &[_, command, _, kind, first, ..] = &self.bytes[..] else { return Ok(()) };
        let (start, len) = match kind {
            IPV4 => (4, 4),
            IPV6 => (4, 16),
            NAME => (5, usize::from(first)),
            // How long it is nobody knows.
            _ => return failed(Refusal::Address),
        };
        let end = start + len;
        let Some(&[high, low]) = self.bytes.get(end..end + 2) else { return Ok(()) };
        if command == ASSOCIATE {
            // Where it will send from it seldom knows: what it says of that is read over.
            self.take(end + 2);
            self.state = State::Calling(Version::Five);
            self.out.push_back(Out::Associate);
            return Ok(());
        }
        if command != CONNECT {
            return failed(Refusal::Command);
        }
        if kind != NAME {
            return failed(Refusal::Address);
        }
        match request(&self.bytes[start..end], [high, low]) {
            Ok(request) => self.call(Version::Five, end + 2, request),
            Err(refusal) => return failed(refusal),
        }
        Ok(())
    }

    fn request_4(&mut self) -> Step {
        let failed = |refusal| Err((Some(Version::Four), refusal));
        let &[_, command, high, low, a, b, c, d, ref texts @ ..] = &self.bytes[..] else { return Ok(()) };
        let mut texts = texts.splitn(3, |byte| *byte == 0);
        let (user, name, rest) = (texts.next(), texts.next(), texts.next());
        let user = user.unwrap_or_default();
        if user.len() > MAX_TEXT {
            return failed(Refusal::Malformed);
        }
        let Some(name) = name else { return Ok(()) };
        if command != CONNECT {
            return failed(Refusal::Command);
        }
        if [a, b, c] != [0; 3] || d == 0 {
            return failed(Refusal::Address);
        }
        if name.len() > MAX_TEXT {
            return failed(Refusal::Malformed);
        }
        if rest.is_none() {
            return Ok(());
        }
        let len = 8 + user.len() + 1 + name.len() + 1;
        let user = user.to_vec();
        match request(name, [high, low]) {
            Ok(request) => {
                self.user = user;
                self.call(Version::Four, len, request);
            }
            Err(refusal) => return failed(refusal),
        }
        Ok(())
    }

    fn call(&mut self, version: Version, len: usize, request: Request) {
        self.take(len);
        self.state = State::Calling(version);
        self.out.push_back(Out::Connect(request));
    }
}

/// A step, or in which words the end is to be told, and why.
type Step = Result<(), (Option<Version>, Refusal)>;

fn request(name: &[u8], port: [u8; 2]) -> Result<Request, Refusal> {
    if name.is_empty() || !name.iter().all(u8::is_ascii_graphic) {
        return Err(Refusal::Malformed);
    }
    let host: String = name.iter().map(|byte| char::from(*byte)).collect();
    if host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
        return Err(Refusal::Address);
    }
    Ok(Request { host, port: u16::from_be_bytes(port) })
}

fn answer(version: Version, refusal: Option<Refusal>, at: SocketAddr) -> Vec<u8> {
    let port = at.port().to_be_bytes();
    match (version, at.ip()) {
        (Version::Four, ip) => {
            let code = if refusal.is_none() { 90 } else { 91 };
            let ip = if let IpAddr::V4(ip) = ip { ip } else { Ipv4Addr::LOCALHOST };
            [&[0, code][..], &port, &ip.octets()].concat()
        }
        (Version::Five, ip) => {
            let mut bytes = vec![VERSION_5, refusal.map_or(0, Refusal::reply), 0];
            match ip {
                IpAddr::V4(ip) => {
                    bytes.push(IPV4);
                    bytes.extend_from_slice(&ip.octets());
                }
                IpAddr::V6(ip) => {
                    bytes.push(IPV6);
                    bytes.extend_from_slice(&ip.octets());
                }
            }
            bytes.extend_from_slice(&port);
            bytes
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All that comes out for these bytes.
    fn outputs(negotiation: &mut Negotiation, bytes: &[u8]) -> Vec<Out> {
        negotiation.handle_input(bytes);
        std::iter::from_fn(|| negotiation.poll_output()).collect()
    }

    fn all(bytes: &[u8]) -> Vec<Out> {
        outputs(&mut Negotiation::default(), bytes)
    }

    fn connect(host: &str, port: u16) -> Out {
        Out::Connect(Request { host: host.to_owned(), port })
    }

    fn five(command: u8, kind: u8, address: &[u8]) -> Vec<u8> {
        [&[5, 1, 0, 5, command, 0, kind][..], address, &[0, 80]].concat()
    }

    fn named(name: &str) -> Vec<u8> {
        let len = [u8::try_from(name.len()).unwrap()];
        five(1, NAME, &[&len[..], name.as_bytes()].concat())
    }

    #[test]
    fn a_program_that_names_a_site_is_connected_in_either_protocol() {
        assert_eq!(all(&named("example.i2p")), [Out::Write(vec![5, 0]), connect("example.i2p", 80)]);
        let mut four = Negotiation::default();
        let request = b"\x04\x01\x00\x50\x00\x00\x00\x01me\x00example.i2p\x00early";
        assert_eq!(outputs(&mut four, request), [connect("example.i2p", 80)]);
        four.granted();
        assert_eq!(four.poll_output(), Some(Out::Write(vec![0, 90, 0, 1, 127, 0, 0, 1])));
        assert_eq!(four.into_rest(), b"early");
    }

    #[test]
    fn a_password_is_asked_for_only_if_nothing_else_is_offered_and_any_will_do() {
        let mut negotiation = Negotiation::default();
        assert_eq!(outputs(&mut negotiation, &[5, 2, 1, 2]), [Out::Write(vec![5, 2])]);
        assert_eq!(outputs(&mut negotiation, b"\x01\x02me\x00"), [Out::Write(vec![1, 0])]);
        assert_eq!(outputs(&mut negotiation, &named("a.i2p")[3..]), [connect("a.i2p", 80)]);
        assert_eq!(all(&[5, 3, 0, 2, 9]), [Out::Write(vec![5, 0])]);
        assert_eq!(all(&[5, 1, 1]), [Out::Write(vec![5, 0xff]), Out::Close(Refusal::NoMethod)]);
        assert_eq!(all(&[5, 0]), [Out::Write(vec![5, 0xff]), Out::Close(Refusal::NoMethod)]);
    }

    #[test]
    fn who_a_program_is_it_says_if_it_offers_that_and_is_asked() {
        let mut negotiation = Negotiation::asking_who();
        assert_eq!(outputs(&mut negotiation, &[5, 2, 0, 2]), [Out::Write(vec![5, 2])]);
        outputs(&mut negotiation, b"\x01\x02me\x02pw");
        assert_eq!(negotiation.user(), b"me");
        assert_eq!(outputs(&mut Negotiation::asking_who(), &[5, 1, 0]), [Out::Write(vec![5, 0])]);
        let mut four = Negotiation::default();
        outputs(&mut four, b"\x04\x01\x00\x50\x00\x00\x00\x01me\x00a.i2p\x00");
        assert_eq!(four.user(), b"me");
    }

    #[test]
    fn a_program_that_wants_to_send_datagrams_is_told_where() {
        let mut negotiation = Negotiation::default();
        let request = five(ASSOCIATE, IPV4, &[0; 4]);
        assert_eq!(outputs(&mut negotiation, &request), [Out::Write(vec![5, 0]), Out::Associate]);
        negotiation.associated("[::1]:258".parse().unwrap());
        let Some(Out::Write(bytes)) = negotiation.poll_output() else { panic!("no answer") };
        assert_eq!((bytes.len(), &bytes[..4], &bytes[20..]), (22, &[5, 0, 0, IPV6][..], &[1, 2][..]));
    }

    #[test]
    fn what_is_not_for_us_is_refused_in_the_words_of_the_protocol() {
        for (bytes, reply, refusal) in [
            (five(1, IPV4, &[192, 0, 2, 1]), 8, Refusal::Address),
            (five(1, IPV6, &[0; 16]), 8, Refusal::Address),
            (five(1, 9, &[0]), 8, Refusal::Address),
            (five(2, IPV4, &[0; 4]), 7, Refusal::Command),
            (five(0xf0, NAME, b"\x05a.i2p"), 7, Refusal::Command),
            (named("192.0.2.1"), 8, Refusal::Address),
            (named("[::1]"), 8, Refusal::Address),
            (named(""), 1, Refusal::Malformed),
            (named("a\n.i2p"), 1, Refusal::Malformed),
        ] {
            let answer = Out::Write(vec![5, reply, 0, 1, 127, 0, 0, 1, 0, 1]);
            assert_eq!(all(&bytes), [Out::Write(vec![5, 0]), answer, Out::Close(refusal)], "{bytes:?}");
        }
        for (bytes, refusal) in [
            (&b"\x04\x01\x00\x50\xc0\x00\x02\x01me\x00"[..], Refusal::Address),
            (b"\x04\x01\x00\x50\x00\x00\x00\x00me\x00", Refusal::Address),
            (b"\x04\x02\x00\x50\x00\x00\x00\x01me\x00a.i2p\x00", Refusal::Command),
            (b"\x04\x01\x00\x50\x00\x00\x00\x01me\x00\x00", Refusal::Malformed),
        ] {
            assert_eq!(all(bytes), [Out::Write(vec![0, 91, 0, 1, 127, 0, 0, 1]), Out::Close(refusal)], "{bytes:?}");
        }
        for bytes in [&b"GET / HTTP/1.1\r\n"[..], &[0], &[6], &[5, 1, 2, 7]] {
            assert_eq!(all(bytes).last(), Some(&Out::Close(Refusal::Malformed)), "{bytes:?}");
        }
    }

    #[test]
    fn a_text_without_end_is_not_collected_for_ever() {
        let mut negotiation = Negotiation::default();
        let outputs = outputs(&mut negotiation, &[&b"\x04\x01\x00\x50\x00\x00\x00\x01"[..], &[b'x'; 300]].concat());
        assert_eq!(outputs.last(), Some(&Out::Close(Refusal::Malformed)));
    }

    #[test]
    fn each_refusal_of_a_call_has_the_reply_that_says_it() {
        for (refusal, reply) in [
            (Refusal::Failed, 1),
            (Refusal::NotI2p, 2),
            (Refusal::NoTunnels, 3),
            (Refusal::Unknown, 4),
            (Refusal::Refused, 5),
            (Refusal::TimedOut, 6),
        ] {
            let mut negotiation = Negotiation::default();
            outputs(&mut negotiation, &named("a.i2p"));
            negotiation.refuse(refusal);
            let Some(Out::Write(bytes)) = negotiation.poll_output() else { panic!("{refusal:?}") };
            assert_eq!((bytes[1], negotiation.poll_output()), (reply, Some(Out::Close(refusal))));
        }
    }

    proptest! {
        #[test]
        fn it_makes_no_difference_in_which_pieces_bytes_come(
            head in prop_oneof![Just(named("example.i2p")), Just(b"\x04\x01\x00\x50\x00\x00\x00\x01u\x00a.i2p\x00".to_vec()),
                Just([&[5, 1, 2, 1, 1, b'u', 1, b'p'][..], &named("b.i2p")[3..]].concat()), prop::collection::vec(any::<u8>(), 0..40)],
            tail in prop::collection::vec(any::<u8>(), 0..20),
            cuts in prop::collection::vec(0_usize..60, 0..6),
        ) {
            let bytes = [head, tail].concat();
            let mut whole = Negotiation::default();
            let expected = outputs(&mut whole, &bytes);
            let (mut pieces, mut found, mut from) = (Negotiation::default(), Vec::new(), 0);
            let mut cuts = cuts;
            cuts.sort_unstable();
            for cut in cuts.into_iter().chain([bytes.len()]) {
                let to = cut.clamp(from, bytes.len());
                found.extend(outputs(&mut pieces, &bytes[from..to]));
                from = to;
            }
            prop_assert_eq!(found, expected);
            prop_assert_eq!(pieces.into_rest(), whole.into_rest());
        }
    }
}
