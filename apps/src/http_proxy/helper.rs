//! Address helpers: a link that says whose a name is. Anybody can make one, so the user decides.

use crate::names::HostName;
use crate::names::book::Book;
use crate::names::entry::{self, Entry};
use parking_lot::Mutex;
use ramson_protocol::b32::{self, B32};
use ramson_protocol::base64::encode32;
use ramson_protocol::data::keys_and_cert::Destination;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Questions to the user that wait for an answer, at most; the oldest give way.
const PENDING: usize = 64;

/// How long they wait.
const PENDING_TIME: Duration = Duration::from_secs(10 * 60);

/// What a helper says.
#[derive(Clone, Debug)]
pub(super) struct Helper {
    /// The address.
    pub(super) address: B32,
    /// The destination, if the helper or the book has it whole: only that can be entered.
    pub(super) destination: Option<Destination>,
}

impl Helper {
    /// Reads a destination in base 64, or an address in base 32.
    pub(super) fn read(text: &str, book: &Book) -> Result<Self, ()> {
        if let Ok(destination) = entry::destination(text) {
            return Ok(Self { address: B32::Hash(destination.hash()), destination: Some(destination) });
        }
        let suffixed = if text.ends_with(b32::SUFFIX) { text.to_owned() } else { format!("{text}{}", b32::SUFFIX) };
        let address = B32::parse(&suffixed).map_err(|_| ())?;
        let destination = match &address {
            B32::Hash(hash) => book.names_of(*hash).unwrap_or_default().iter().find_map(|name| {
                let (_, entry) = book.lookup(name).ok()??;
                entry.destinations().find(|one| one.hash() == *hash).cloned()
            }),
            B32::Blinded(_) => None,
        };
        Ok(Self { address, destination })
    }

    /// True if the book says the same.
    pub(super) fn is(&self, known: &Entry) -> bool {
        matches!(&self.address, B32::Hash(hash) if known.destinations().any(|one| one.hash() == *hash))
    }
}

/// A question to the user: whether a name is to be what a helper says.
#[derive(Clone, Debug)]
pub(super) struct Question {
    token: String,
    asked: Instant,
    pub(super) name: HostName,
    pub(super) helper: Helper,
    /// Where the user wanted to go.
    pub(super) url: String,
}

/// The questions that wait. Only who was shown one knows its token, so no site can answer in the user's name.
#[derive(Default)]
pub(super) struct Pending(Mutex<VecDeque<Question>>);

impl Pending {
    /// Keeps a question; returns its token.
    pub(super) fn keep(&self, name: HostName, helper: Helper, url: String) -> String {
        let token = encode32(&rand::random::<[u8; 20]>());
        let mut all = self.0.lock();
        if all.len() >= PENDING {
            all.pop_front();
        }
        all.push_back(Question { token: token.clone(), asked: Instant::now(), name, helper, url });
        token
    }

    /// The question of a token, which can be answered once.
    pub(super) fn take(&self, token: &str) -> Option<Question> {
        let mut all = self.0.lock();
        let at = all.iter().position(|question| question.token == token)?;
        all.remove(at).filter(|question| question.asked.elapsed() < PENDING_TIME)
    }
}
