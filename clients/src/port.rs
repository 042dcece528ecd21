//! What other threads hold of a client thread.

use crate::destination::{NewDestination, Told};
use crossbeam::queue::ArrayQueue;
use mio::Waker;
use ramson_crypto::tunnel::LayerCipher;
use ramson_protocol::i2np::Message;
use ramson_protocol::id::{DestinationId, TunnelId};
use ramson_protocol::tunnel::Delivery;
use ramson_transports::inbox::Inbox;
use ramson_transports::ports::own::{Lane, OwnCells, OwnPort};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// Entries in a thread's inbox: an entry is a batch of cells, a message or a command. 64 MiB of cells at most.
const INBOX: usize = 1024;

/// Empty batches that are kept for those who hand over cells.
const SPARES: usize = 16;

/// What arrives in the inbox.
pub(crate) enum Input {
    /// Raw cells of inbound tunnels.
    Cells(OwnCells),
    /// The lane of this tunnel has credit again.
    Credit(TunnelId),
    /// An inbound tunnel begins.
    Inbound(NewInbound),
    /// An outbound tunnel begins.
    Outbound(NewOutbound),
    /// A tunnel is over.
    Close(TunnelId),
    /// A message into an outbound tunnel.
    Send(TunnelId, Delivery, Message),
    /// A destination begins.
    Destination(Box<NewDestination>),
    /// A destination is told something.
    Tell(DestinationId, Told),
    /// A stream's application has done something.
    Look(DestinationId, u32),
    /// End.
    Stop,
}

/// An inbound tunnel that begins.
pub(crate) struct NewInbound {
    /// The destination that gets the Garlic out of it.
    pub(crate) destination: Option<DestinationId>,
    pub(crate) tunnel: TunnelId,
    pub(crate) ciphers: Vec<LayerCipher>,
    pub(crate) over: Over,
}

/// Whether a tunnel is over. The command that says so may find no room; this is always seen.
pub(crate) type Over = Arc<AtomicBool>;

/// An outbound tunnel that begins.
pub(crate) struct NewOutbound {
    pub(crate) tunnel: TunnelId,
    pub(crate) ciphers: Vec<LayerCipher>,
    pub(crate) lane: Arc<Lane>,
    pub(crate) held: Arc<Held>,
    /// The I/O thread of the first hop.
    pub(crate) home: usize,
    pub(crate) over: Over,
}

/// What waits for one outbound tunnel, in the inbox and behind it: senders take room before they send, and the thread
/// gives it back.
#[derive(Debug, Default)]
pub(crate) struct Held {
    messages: AtomicUsize,
    bytes: AtomicUsize,
}

impl Held {
    /// Takes room for a message; false if there is none within the bounds.
    #[must_use]
    pub(crate) fn take(&self, len: usize, messages: usize, bytes: usize) -> bool {
        let before = (self.messages.fetch_add(1, Relaxed), self.bytes.fetch_add(len, Relaxed));
        let room = before.0 < messages && before.1 + len <= bytes;
        if !room {
            self.give(1, len);
        }
        room
    }

    /// Takes room whether there is any or not: for the thread itself.
    pub(crate) fn add(&self, messages: usize, bytes: usize) {
        self.messages.fetch_add(messages, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
    }

    /// Gives back the room of so many messages.
    pub(crate) fn give(&self, messages: usize, bytes: usize) {
        self.messages.fetch_sub(messages, Relaxed);
        self.bytes.fetch_sub(bytes, Relaxed);
    }

    /// True if nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.messages.load(Relaxed) == 0
    }
}

/// The way to a client thread.
pub(crate) struct Port {
    index: usize,
    pub(crate) inbox: Inbox<Input>,
    spares: ArrayQueue<OwnCells>,
}

impl Port {
    pub(crate) fn new(index: usize, waker: Waker) -> Self {
        Self { index, inbox: Inbox::new(INBOX, waker), spares: ArrayQueue::new(SPARES) }
    }

    /// Takes back a batch for its next use.
    pub(crate) fn keep(&self, mut cells: OwnCells) {
        cells.clear();
        // What finds no room is more than will be asked for.
        let _: Result<(), OwnCells> = self.spares.push(cells);
    }

    /// Ends the thread: what waits before this is of no use any more and makes room.
    pub(crate) fn stop(&self) {
        while self.inbox.push(Input::Stop).is_err() {
            self.inbox.pop();
        }
    }
}

impl std::fmt::Debug for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Port").field("index", &self.index).finish_non_exhaustive()
    }
}

impl OwnPort for Port {
    fn index(&self) -> usize {
        self.index
    }

    fn spare(&self) -> OwnCells {
        self.spares.pop().unwrap_or_default()
    }

    fn cells(&self, cells: OwnCells) -> Result<(), OwnCells> {
        self.inbox.push(Input::Cells(cells)).map_err(|input| match input {
            Input::Cells(cells) => cells,
            _ => OwnCells::default(),
        })
    }

    fn credit(&self, tunnel: TunnelId) -> bool {
        self.inbox.push(Input::Credit(tunnel)).is_ok()
    }
}
