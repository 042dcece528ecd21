//! The router as a library. Its documentation is that of the crate, `embed.md`.
//!
//! ```text
//! program -- Ask --> thread of the node, where actors begin --> destinations
//!         <-------- streams and datagrams, by their own queues ---'
//! ```

pub(crate) mod address;
pub(crate) mod datagrams;
pub(crate) mod destination;
pub(crate) mod keys;
pub(crate) mod node;
pub(crate) mod stream;

pub use ramson_apps::network::ConnectError;

/// Why something of a node could not be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration cannot be used.
    #[error("{0}")]
    Configuration(String),
    /// The node could not begin.
    #[error("{0}")]
    Start(String),
    /// The node has ended: it was stopped, or dropped.
    #[error("the node has ended")]
    Ended,
    /// Something has ended that the node cannot do without. The log says more.
    #[error("{0} has ended unexpectedly, and the node with it")]
    Failed(String),
    /// No tunnels came about in time. Is the machine connected, and the network known?
    #[error("no tunnels could be built in time")]
    NoTunnels,
    /// The node has as many destinations as it can take.
    #[error("the node takes no more destinations now")]
    Busy,
    /// A file of keys cannot be read or written.
    #[error("keys: {0}")]
    Keys(String),
    /// The address book cannot be read.
    #[error("the address book: {0}")]
    Names(String),
}
