//! SAM: what a program says on a socket to have destinations, streams and datagrams of its own.
//!
//! ```text
//! line     VERB [ACTION] [KEY=VALUE]... \n       a value with blanks stands in quotes, \ before a quote or another \
//! first    HELLO VERSION [MIN=3.x] [MAX=3.x] [USER=] [PASSWORD=]   <- HELLO REPLY RESULT=OK VERSION=3.x
//! session  SESSION CREATE STYLE= ID= DESTINATION= [options]        <- SESSION STATUS RESULT=OK DESTINATION=keys
//! streams  STREAM CONNECT | ACCEPT | FORWARD ID= ..                <- STREAM STATUS RESULT=OK; then bytes
//! others   NAMING LOOKUP, DEST GENERATE, PING, QUIT
//! ```
//! Keys are read as they are written, verbs and actions in either case. What nobody knows is ignored among keys, and refused
//! among verbs. INTEROP: i2pd cuts values at blanks and does not read quotes, Java does both; no client relies on the former.
//!
//! spec: samv3

pub mod datagram;
pub mod reply;
pub mod session;

use bytes::{Buf, BytesMut};

/// The longest line, its end included. INTEROP: the same in Java and i2pd.
pub const MAX_LINE: usize = 8192;

/// Pairs of one line, at most.
const MAX_PARAMS: usize = 128;

/// Lines out of what came in, however it was cut.
#[derive(Debug, Default)]
pub struct Lines {
    buffer: BytesMut,
    /// So many bytes have no end of a line.
    looked: usize,
}

/// Why there is no line, and never will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It is longer than [`MAX_LINE`].
    #[error("the line is too long")]
    TooLong,
    /// It is no UTF-8.
    #[error("the line is not in UTF-8")]
    NotText,
}

impl Lines {
    /// Takes what came.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next line without its end, which is a line feed with or without a carriage return; `None` if it is not there yet.
    ///
    /// # Errors
    /// If this is no line that anybody may send.
    pub fn next_line(&mut self) -> Result<Option<String>, LineError> {
        let end = self.buffer.get(self.looked..).and_then(|new| new.iter().position(|byte| *byte == b'\n'));
        let Some(end) = end.map(|at| self.looked + at) else {
            self.looked = self.buffer.len();
            return if self.looked >= MAX_LINE { Err(LineError::TooLong) } else { Ok(None) };
        };
        if end >= MAX_LINE {
            return Err(LineError::TooLong);
        }
        let line = self.buffer.split_to(end + 1);
        self.looked = 0;
        let line = line.strip_suffix(b"\r\n").unwrap_or(&line[..end]);
        std::str::from_utf8(line).map(|line| Some(line.to_owned())).map_err(|_| LineError::NotText)
    }

    /// So many bytes behind the last line, or `None` if they are not all there yet.
    pub fn take(&mut self, len: usize) -> Option<Vec<u8>> {
        if self.buffer.len() < len {
            return None;
        }
        let bytes = self.buffer[..len].to_vec();
        self.buffer.advance(len);
        self.looked = 0;
        Some(bytes)
    }

    /// What came behind the last line.
    pub fn into_rest(self) -> Vec<u8> {
        self.buffer.into()
    }
}

/// Keys and values of a line, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(Vec<(String, String)>);

/// A number that is none, or too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a number from 0 to {1}")]
pub struct NumberError(&'static str, u32);

impl Params {
    /// The first value of a key. A key without a value has an empty one.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The same, if it is not empty.
    pub fn filled(&self, key: &str) -> Option<&str> {
        self.get(key).filter(|value| !value.is_empty())
    }

    /// True if the key says so.
    pub fn is_true(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// All pairs, in the order of the line.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The same line with another value of a key.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.0.retain(|(name, _)| name != key);
        self.0.push((key.to_owned(), value.to_owned()));
        self
    }

    /// A port, if the key has a value.
    ///
    /// # Errors
    /// If it is none.
    pub fn port(&self, key: &'static str) -> Result<Option<u16>, NumberError> {
        let parse = |value: &str| value.parse().map_err(|_| NumberError(key, 65_535));
        self.filled(key).map(parse).transpose()
    }

    /// A number of a byte, if the key has a value.
    ///
    /// # Errors
    /// If it is none.
    pub fn byte(&self, key: &'static str) -> Result<Option<u8>, NumberError> {
        let parse = |value: &str| value.parse().map_err(|_| NumberError(key, 255));
        self.filled(key).map(parse).transpose()
    }

    /// A number, if the key has one that can be read.
    pub fn number(&self, key: &str) -> Option<i64> {
        self.get(key)?.parse().ok()
    }
}

/// What a line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The first of all.
    Hello(Params),
    /// Open a destination.
    SessionCreate(Params),
    /// Add a part to a primary session.
    SessionAdd(Params),
    /// Take a part away.
    SessionRemove(Params),
    /// Begin a stream.
    StreamConnect(Params),
    /// Wait for one stream of somebody else's.
    StreamAccept(Params),
    /// Have all streams of others carried to a local server.
    StreamForward(Params),
    /// Send bytes of a numbered stream, which follow. Versions 1 and 2.
    StreamSend(Params),
    /// So much may come of a numbered stream. Version 2.
    StreamReceive(Params),
    /// End a numbered stream. Versions 1 and 2.
    StreamClose(Params),
    /// Whose a name is.
    NamingLookup(Params),
    /// New keys.
    DestGenerate(Params),
    /// Send a datagram with a sender, whose bytes follow.
    DatagramSend(Params),
    /// Send a datagram without one, whose bytes follow.
    RawSend(Params),
    /// Who may use the server.
    Auth(String, Params),
    /// Is anybody there?
    Ping(String),
    /// Here we are.
    Pong,
    /// No more.
    Quit,
}

/// Why a line is no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// It has quotes that do not end, or more pairs than anybody needs.
    #[error("the line cannot be read")]
    Malformed,
    /// There is no such command.
    #[error("there is no such command")]
    Unknown,
}

impl Command {
    /// Reads a line.
    ///
    /// # Errors
    /// What keeps it from being one.
    pub fn parse(line: &str) -> Result<Self, CommandError> {
        let line = line.trim_matches([' ', '\t', '\r']);
        let (verb, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        let verb = verb.to_ascii_uppercase();
        match verb.as_str() {
            // spec: samv3 §PING/PONG — what follows is any text.
            "PING" => return Ok(Self::Ping(rest.to_owned())),
            "PONG" => return Ok(Self::Pong),
            "QUIT" | "STOP" | "EXIT" => return Ok(Self::Quit),
            _ => {}
        }
        let mut words = words(rest)?;
        let action = match words.first() {
            Some((action, None)) => action.to_ascii_uppercase(),
            _ => return Err(CommandError::Unknown),
        };
        words.remove(0);
        let params = Params(words.into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect());
        Ok(match (verb.as_str(), action.as_str()) {
            ("HELLO", "VERSION") => Self::Hello(params),
            ("SESSION", "CREATE") => Self::SessionCreate(params),
            ("SESSION", "ADD") => Self::SessionAdd(params),
            ("SESSION", "REMOVE") => Self::SessionRemove(params),
            ("STREAM", "CONNECT") => Self::StreamConnect(params),
            ("STREAM", "ACCEPT") => Self::StreamAccept(params),
            ("STREAM", "FORWARD") => Self::StreamForward(params),
            ("STREAM", "SEND") => Self::StreamSend(params),
            ("STREAM", "RECEIVE") => Self::StreamReceive(params),
            ("STREAM", "CLOSE") => Self::StreamClose(params),
            ("NAMING", "LOOKUP") => Self::NamingLookup(params),
            ("DEST", "GENERATE") => Self::DestGenerate(params),
            ("DATAGRAM", "SEND") => Self::DatagramSend(params),
            ("RAW", "SEND") => Self::RawSend(params),
            ("AUTH", _) => Self::Auth(action, params),
            _ => return Err(CommandError::Unknown),
        })
    }
}

/// Reads pairs as they stand in the first line of a datagram.
///
/// # Errors
/// `Malformed`.
pub fn params(text: &str) -> Result<Params, CommandError> {
    Ok(Params(words(text)?.into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect()))
}

/// Cuts at blanks that stand outside of quotes, and each word at its first `=`.
fn words(text: &str) -> Result<Vec<(String, Option<String>)>, CommandError> {
    let mut words = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| matches!(c, ' ' | '\t' | '\r')).is_some() {}
        if chars.peek().is_none() {
            return Ok(words);
        }
        let (mut key, mut word, mut quoted) = (None, String::new(), false);
        while let Some(c) = chars.next_if(|c| quoted || !matches!(c, ' ' | '\t' | '\r')) {
            match c {
                '"' => quoted = !quoted,
                '\\' if quoted => word.push(chars.next().ok_or(CommandError::Malformed)?),
                '=' if !quoted && key.is_none() => key = Some(std::mem::take(&mut word)),
                c => word.push(c),
            }
        }
        if quoted || words.len() > MAX_PARAMS {
            return Err(CommandError::Malformed);
        }
        words.push(match key {
            Some(key) => (key, Some(word)),
            None => (word, None),
        });
    }
}

/// A version that both sides speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// One to three.
    pub major: u8,
    /// Zero to three; of one and two only zero.
    pub minor: u8,
}

impl Version {
    /// The newest that there is.
    pub const NEWEST: Self = Self { major: 3, minor: 3 };
    /// The first in which each stream has a socket of its own.
    pub const SOCKETS: Self = Self { major: 3, minor: 0 };
    /// The first whose lines say ports.
    pub const PORTS: Self = Self { major: 3, minor: 2 };
    /// The first with primary sessions.
    pub const PRIMARY: Self = Self { major: 3, minor: 3 };

    /// The highest that lies between the bounds of a HELLO, of which either may be missing.
    ///
    /// # Errors
    /// `None` if there is none.
    pub fn choose(hello: &Params) -> Option<Self> {
        let bound = |key, default| hello.filled(key).map_or(Some(default), Self::parse);
        let lowest = bound("MIN", Self { major: 0, minor: 0 })?;
        let highest = bound("MAX", Self { major: u8::MAX, minor: u8::MAX })?;
        let ours = (0..=Self::NEWEST.minor).rev().map(|minor| Self { major: 3, minor });
        let old = [2, 1].map(|major| Self { major, minor: 0 });
        ours.chain(old).find(|version| (lowest..=highest).contains(version))
    }

    fn parse(text: &str) -> Option<Self> {
        // spec: samv3 §Version 3.1 Changes — "3" is as good as "3.0".
        let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests;
