//! Sockets from other machines: none of these may have all that there is. Programs of this machine have one address, so they bound
//! themselves only by what all have together.

use parking_lot::Mutex;
use ramson_actors::series::control;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Sockets of one other machine at a time. Every session and every stream takes one.
const MAX_OF_ONE: usize = 512;

/// With so many sockets that have not said HELLO, each has less time for it.
const MANY_SILENT: usize = 256;

/// Who is there.
#[derive(Debug, Default)]
pub(super) struct Guests {
    sockets: Mutex<HashMap<IpAddr, usize>>,
    silent: AtomicUsize,
}

/// The place of a socket, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    guests: Arc<Guests>,
    of: Option<IpAddr>,
    silent: bool,
}

impl Guests {
    /// A place for a socket from there. `None` if that machine has as many as it may.
    pub(super) fn place(self: &Arc<Self>, from: IpAddr) -> Option<Place> {
        let of = Some(from.to_canonical()).filter(|from| !from.is_loopback());
        if let Some(from) = of {
            let mut sockets = self.sockets.lock();
            let count = sockets.entry(from).or_default();
            if *count >= MAX_OF_ONE {
                return None;
            }
            *count += 1;
        }
        self.silent.fetch_add(1, Relaxed);
        control::SAM_SOCKETS.change([], 1.0);
        Some(Place { guests: Arc::clone(self), of, silent: true })
    }

    /// Many have not said HELLO.
    pub(super) fn are_many_silent(&self) -> bool {
        self.silent.load(Relaxed) > MANY_SILENT
    }
}

impl Place {
    /// HELLO was said.
    pub(super) fn spoke(&mut self) {
        if std::mem::take(&mut self.silent) {
            self.guests.silent.fetch_sub(1, Relaxed);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.spoke();
        control::SAM_SOCKETS.change([], -1.0);
        if let Some(from) = self.of {
            let mut sockets = self.guests.sockets.lock();
            if let Some(count) = sockets.get_mut(&from) {
                *count -= 1;
                if *count == 0 {
                    sockets.remove(&from);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_machine_has_some_places_and_this_one_all() {
        let guests = Arc::new(Guests::default());
        let other: IpAddr = [192, 0, 2, 1].into();
        let mut held: Vec<_> = (0..MAX_OF_ONE).map(|_| guests.place(other).unwrap()).collect();
        assert!(guests.place(other).is_none());
        assert!(guests.are_many_silent());
        held.iter_mut().for_each(Place::spoke);
        assert!(!guests.are_many_silent());
        let here: IpAddr = [127, 0, 0, 1].into();
        let own: Vec<_> = (0..=MAX_OF_ONE).map(|_| guests.place(here).unwrap()).collect();
        held.pop();
        assert!(guests.place(other).is_some());
        drop((held, own));
        assert!(guests.sockets.lock().is_empty() && !guests.are_many_silent());
    }
}
