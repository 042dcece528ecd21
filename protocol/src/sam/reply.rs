//! What a SAM server answers: one line each, the result first.
//!
//! spec: samv3 §RESULT Values

use std::fmt::Write;

/// How a command has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Well.
    Ok,
    /// There is a way to the other side, and it cannot be gone.
    CantReachPeer,
    /// The destination is in use.
    DuplicatedDest,
    /// The ID is in use.
    DuplicatedId,
    /// All else.
    I2pError,
    /// No session has this ID, or none can have it.
    InvalidId,
    /// What should be a key is none.
    InvalidKey,
    /// The name is nobody's.
    KeyNotFound,
    /// Nobody has the lease set whose records were asked for.
    LeaseSetNotFound,
    /// No version is spoken by both.
    NoVersion,
    /// The other side did not answer.
    Timeout,
}

impl Outcome {
    /// All there are.
    pub const ALL: [Self; 11] = [
        Self::Ok,
        Self::CantReachPeer,
        Self::DuplicatedDest,
        Self::DuplicatedId,
        Self::I2pError,
        Self::InvalidId,
        Self::InvalidKey,
        Self::KeyNotFound,
        Self::LeaseSetNotFound,
        Self::NoVersion,
        Self::Timeout,
    ];

    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::CantReachPeer => "CANT_REACH_PEER",
            Self::DuplicatedDest => "DUPLICATED_DEST",
            Self::DuplicatedId => "DUPLICATED_ID",
            Self::I2pError => "I2P_ERROR",
            Self::InvalidId => "INVALID_ID",
            Self::InvalidKey => "INVALID_KEY",
            Self::KeyNotFound => "KEY_NOT_FOUND",
            Self::LeaseSetNotFound => "LEASESET_NOT_FOUND",
            Self::NoVersion => "NOVERSION",
            Self::Timeout => "TIMEOUT",
        }
    }
}

/// A line that is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    line: String,
    counted: Option<(&'static str, Outcome)>,
}

impl Reply {
    /// `SUBJECT RESULT=..`, where the subject is as `STREAM STATUS`.
    pub fn new(subject: &'static str, outcome: Outcome) -> Self {
        Self { line: format!("{subject} RESULT={}", outcome.word()), counted: Some((subject, outcome)) }
    }

    /// One without a result, as `DEST REPLY`.
    pub fn plain(subject: &str) -> Self {
        Self { line: subject.to_owned(), counted: None }
    }

    /// What it is about, and how that has ended.
    pub fn counted(&self) -> Option<(&'static str, Outcome)> {
        self.counted
    }

    /// What answers PING with this text.
    pub fn pong(text: &str) -> Self {
        Self::plain(format!("PONG {text}").trim_end())
    }

    /// Adds a pair. The value is put in quotes if it needs them: many clients do not read quotes.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        // A line has no other end than its own.
        let value = value.replace(['\n', '\r'], " ");
        let bare = !value.is_empty() && !value.contains([' ', '\t', '"', '\\']);
        // Writing into a string does not fail.
        let _ = if bare {
            write!(self.line, " {key}={value}")
        } else {
            write!(self.line, " {key}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
        };
        self
    }

    /// Adds a record of a lease set. What a line cannot carry is left out. spec: samv3 §Name Lookup Options
    #[must_use]
    pub fn with_record(self, key: &str, value: &str) -> Self {
        let unfit = |c: char| matches!(c, '=' | '"' | '\\') || c.is_whitespace() || c.is_control();
        if key.contains(unfit) || value.contains(['\n', '\r']) {
            return self;
        }
        self.with(&format!("OPTION:{key}"), value)
    }

    /// Adds words for people.
    #[must_use]
    pub fn saying(self, message: impl std::fmt::Display) -> Self {
        self.with("MESSAGE", &message.to_string())
    }

    /// The line with its end.
    pub fn line(self) -> String {
        self.line + "\n"
    }
}
