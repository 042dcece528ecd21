//! Our own exploratory tunnels.
