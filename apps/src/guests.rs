//! Who is at a local server. No other machine may have all places that there are; programs of this machine have one address, so they
//! bound themselves only by what all have together. While many have not spoken yet, each has less time for it: then nobody keeps others
//! out for long by saying nothing.

use parking_lot::Mutex;
use ramson_actors::series::Gauge;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// Sockets of one other machine at a time. Every session and every stream takes one.
const MAX_OF_ONE: usize = 4096;

/// With so many sockets that have not spoken, each has less time for it.
const MANY_SILENT: usize = 256;

/// The first word comes within this time. INTEROP: as in Java's SAM. With many who say nothing it is the second.
const PATIENCE: Duration = Duration::from_secs(60);
const PRESSED: Duration = Duration::from_secs(3);

/// Who is there.
#[derive(Debug)]
pub(crate) struct Guests {
    gauge: Option<&'static Gauge<0>>,
    sockets: Mutex<HashMap<IpAddr, usize>>,
    silent: AtomicUsize,
}

/// The place of a socket, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    guests: Arc<Guests>,
    of: Option<IpAddr>,
    silent: bool,
}

impl Guests {
    /// Nobody yet. How many there are `gauge` tells.
    pub(crate) fn new(gauge: Option<&'static Gauge<0>>) -> Arc<Self> {
        Arc::new(Self { gauge, sockets: Mutex::default(), silent: AtomicUsize::new(0) })
    }

    /// A place for a socket from there. `None` if that machine has as many as it may.
    pub(crate) fn place(self: &Arc<Self>, from: IpAddr) -> Option<Place> {
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
        self.gauge.inspect(|gauge| gauge.change([], 1.0));
        Some(Place { guests: Arc::clone(self), of, silent: true })
    }

    /// How long whoever has just come may say nothing.
    pub(crate) fn patience(&self) -> Duration {
        if self.silent.load(Relaxed) > MANY_SILENT { PRESSED } else { PATIENCE }
    }
}

impl Place {
    /// It has spoken.
    pub(crate) fn spoke(&mut self) {
        if std::mem::take(&mut self.silent) {
            self.guests.silent.fetch_sub(1, Relaxed);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.spoke();
        self.guests.gauge.inspect(|gauge| gauge.change([], -1.0));
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
        let guests = Guests::new(None);
        let other: IpAddr = [192, 0, 2, 1].into();
        let mut held: Vec<_> = (0..MAX_OF_ONE).map(|_| guests.place(other).unwrap()).collect();
        assert!(guests.place(other).is_none());
        assert_eq!(guests.patience(), PRESSED);
        held.iter_mut().for_each(Place::spoke);
        assert_eq!(guests.patience(), PATIENCE);
        let here: IpAddr = [127, 0, 0, 1].into();
        let own: Vec<_> = (0..=MAX_OF_ONE).map(|_| guests.place(here).unwrap()).collect();
        held.pop();
        assert!(guests.place(other).is_some());
        drop((held, own));
        assert!(guests.sockets.lock().is_empty() && guests.silent.load(Relaxed) == 0);
    }
}
