//! How peers reach us where we publish no address: it changes while the router runs.

use ramson_protocol::data::router_address::Introducer;

/// What the world's view of us makes of what we offer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Routers that introduce others to us. They are published where SSU2 has no address of its own.
    pub introducers: Vec<Introducer>,
}
