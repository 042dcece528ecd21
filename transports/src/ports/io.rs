//! What other threads hold of an I/O thread: commands, cells and datagrams for it, and the way to its inbox.

use super::account::Account;
use super::datagrams::Datagrams;
use super::established::Established;
use super::own::OwnCells;
use super::ssu2::{Adoption, Block, Route};
use crate::hop::Hop;
use crate::inbox::Inbox;
use crate::stats::IoStats;
use crossbeam::queue::ArrayQueue;
use mio::Waker;
use ramson_protocol::i2np::Message;
use ramson_protocol::id::RouterHash;
use std::sync::Arc;

/// Entries in a thread's inbox. An entry is a whole batch or one command.
const INBOX: usize = 16 * 1024;

/// Sessions, hops and the like that wait for a thread: as many as there are tunnels by default, and more.
const FIRST: usize = 16 * 1024;

/// Empty hand-offs that a thread keeps for those who hand over to it.
const SPARE_HANDOFFS: usize = 16;

/// To an I/O thread.
#[derive(Debug)]
pub enum Command {
    /// Take over a session that the handshake thread made.
    Adopt(Box<Established>),
    /// Take over a session that the SSU2 thread made.
    AdoptSsu2(Box<Adoption>),
    /// Where the datagrams of a session of another thread belong.
    Route(Route),
    /// Send a block of a service in the SSU2 session with a router.
    Ssu2Block(RouterHash, Box<Block>),
    /// Send a message to a router.
    Send {
        /// The router that gets it.
        to: RouterHash,
        /// The message, with its final id and expiration.
        message: Message,
        /// Who caused it.
        account: Account,
    },
    /// Enter a hop into the table.
    InstallHop(Arc<Hop>),
    /// Take a hop out of the table.
    RemoveHop(Arc<Hop>),
    /// No session with this router can be had: drop what waits for it.
    Unreachable(RouterHash),
    /// The NAT in front of us has given us other ports, or with `same_ip` false another address: peers over SSU2 hear
    /// from us at once.
    Rebound {
        /// Whether only the ports are others.
        same_ip: bool,
    },
    /// These routers introduce others to us over one address family from now on.
    Introducers {
        /// Over IPv4, or IPv6.
        v4: bool,
        /// The routers.
        routers: Arc<[RouterHash]>,
    },
    /// Our RouterInfo has changed; peers are told by and by.
    AnnounceRouterInfo,
    /// End the session with a peer.
    Close {
        /// The router whose sessions end.
        peer: RouterHash,
        /// The termination reason to give.
        reason: u8,
    },
    /// Close so many sessions of NTCP2 of which nobody makes use: descriptors are scarce.
    CloseIdlest(usize),
    /// End all sessions, then the thread.
    Stop,
}

/// Cells and messages for peers whose home is another thread, handed over in whole batches.
#[derive(Debug, Default)]
pub struct Handoff {
    /// Destination and the message's place in `bytes`.
    pub items: Vec<HandoffItem>,
    /// Bodies, one after the other.
    pub bytes: Vec<u8>,
}

impl Handoff {
    /// Empties it, for its next use.
    pub(crate) fn clear(&mut self) {
        self.items.clear();
        self.bytes.clear();
    }
}

/// One message of a [`Handoff`].
#[derive(Clone, Copy, Debug)]
pub struct HandoffItem {
    /// The router that gets it.
    pub to: RouterHash,
    /// The code of its I2NP type.
    pub kind: u8,
    /// I2NP message id.
    pub id: u32,
    /// Expiration, seconds since 1970.
    pub expiration: u32,
    /// Length of the body.
    pub len: u32,
    /// Who caused it.
    pub account: Account,
}

/// What arrives in a thread's inbox.
#[derive(Debug)]
pub(crate) enum Input {
    Command(Command),
    Handoff(Handoff),
    Own(OwnCells),
    Datagrams(Datagrams),
}

/// What other threads hold of an I/O thread.
#[derive(Clone)]
pub struct IoHandle {
    pub(crate) inbox: Inbox<Input>,
    /// Hand-offs that the thread has emptied, for the next ones to it.
    pub(crate) spares: Arc<ArrayQueue<Handoff>>,
    /// The same for batches of finished cells.
    pub(crate) own_spares: Arc<ArrayQueue<OwnCells>>,
    /// What the thread counts.
    pub stats: Arc<IoStats>,
}

impl IoHandle {
    /// The handle of a thread that `waker` wakes.
    pub(crate) fn new(waker: Waker) -> Self {
        let (spares, own_spares) = (ArrayQueue::new(SPARE_HANDOFFS), ArrayQueue::new(SPARE_HANDOFFS));
        let (spares, own_spares) = (Arc::new(spares), Arc::new(own_spares));
        Self { inbox: Inbox::with_first(INBOX, FIRST, waker), spares, own_spares, stats: Arc::default() }
    }

    /// Sends a command. Messages and blocks of services wait among cells; all that makes or ends something has a queue of
    /// its own, which nothing of strangers fills, and goes first.
    ///
    /// # Errors
    /// Hands it back if the thread does not keep up.
    pub fn command(&self, command: Command) -> Result<(), Box<Command>> {
        let may_be_lost = matches!(command, Command::Send { .. } | Command::Ssu2Block(..));
        let input = Input::Command(command);
        let pushed = if may_be_lost { self.inbox.push(input) } else { self.inbox.push_first(input) };
        pushed.map_err(|input| match input {
            Input::Command(command) => Box::new(command),
            Input::Handoff(_) | Input::Own(_) | Input::Datagrams(_) => Box::new(Command::Stop),
        })
    }

    /// Ends the thread: what waits before this is of no use any more and makes room.
    pub(crate) fn stop(&self) {
        while self.command(Command::Stop).is_err() {
            self.inbox.pop();
        }
    }

    /// Hands over finished cells of our own outbound tunnels whose first hops are at home on the thread.
    ///
    /// # Errors
    /// Gives them back if the thread does not keep up.
    pub fn own_cells(&self, cells: OwnCells) -> Result<(), OwnCells> {
        self.inbox.push(Input::Own(cells)).map_err(|input| match input {
            Input::Own(cells) => cells,
            Input::Command(_) | Input::Handoff(_) | Input::Datagrams(_) => OwnCells::default(),
        })
    }

    /// An empty batch for [`IoHandle::own_cells`], used before if there is one.
    pub fn own_spare(&self) -> OwnCells {
        self.own_spares.pop().unwrap_or_default()
    }

    /// Hands over datagrams; false if the thread does not keep up.
    #[must_use]
    pub(crate) fn datagrams(&self, datagrams: Datagrams) -> bool {
        self.inbox.push(Input::Datagrams(datagrams)).is_ok()
    }
}

/// The threads' common table: which thread is whose home.
pub fn home(router: &RouterHash, threads: usize) -> usize {
    // The hash is uniform, so any of its bytes spread the peers evenly.
    usize::from(u16::from_be_bytes([router.0[30], router.0[31]])) % threads.max(1)
}
