//! Tunnels: the cells that travel in them, the messages in the cells, and how a tunnel comes to be.
//!
//! Gateway side: [`fragment`] packs I2NP messages into the payload of [`cell`]s. Endpoint side: [`reassembly`] takes
//! them out again. In between every hop applies [`ramson_crypto::tunnel`] and asks [`iv_filter`] whether it has seen
//! the cell before.
//!
//! A tunnel is asked for by [`build`] (the creator), answered by [`hop`], in the [`record`]s of a build message.
//!
//! spec: tunnel-message; tunnel-implementation; tunnel-creation-ecies

pub mod build;
pub mod cell;
pub mod delivery;
pub mod fragment;
pub mod hop;
pub mod iv_filter;
pub mod reassembly;
pub mod record;
pub mod replay;

pub use delivery::Delivery;

/// Which way a tunnel leads, seen from its creator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Towards the creator.
    Inbound,
    /// Away from the creator.
    Outbound,
}

/// A hop's place in a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Passes cells on to the next hop.
    Participant,
    /// Takes whole messages from anyone, makes cells of them and passes those on.
    InboundGateway,
    /// Makes whole messages of cells and delivers them to anyone.
    OutboundEndpoint,
}
