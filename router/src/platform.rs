//! What differs between systems: rights of files, limits of a process, sockets of this machine alone, signals.
//!
//! Ramson is made for Linux, and runs on what is like it. Elsewhere it does with what there is: a router that runs takes no commands, and
//! its files have the rights of the folder that they are in.

#[cfg(not(unix))]
mod other;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
pub(crate) use other::*;
#[cfg(unix)]
pub(crate) use unix::*;
