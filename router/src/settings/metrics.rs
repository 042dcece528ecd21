//! `[metrics]`

use super::Endpoint;
use super::section::section;
use std::net::SocketAddr;

section! {
    /// The exporter.
    Metrics = "metrics" {
        /// Where `/metrics` and `/health` are served; `false` is nowhere.
        listen: Endpoint = Endpoint(Some(SocketAddr::from(([127, 0, 0, 1], 9656)))) => Start;
    }
}
