//! Users of a proxy, each with a destination of his own, so that nobody outside sees that two of them are at one router.
//!
//! A user is whoever says a name. Names are not checked here: programs choose them, to keep apart what they do.
//! INTEROP: as Tor isolates streams by the SOCKS user, and browsers made for that expect it.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Who has not been here for so long gives way to a new one, if there is no place.
const IDLE: Duration = Duration::from_secs(10 * 60);

/// What each has of his own, made when he first comes.
pub(crate) struct Users<T> {
    most: usize,
    make: Box<dyn Fn() -> T + Send + Sync>,
    end: Box<dyn Fn(&T) + Send + Sync>,
    all: Mutex<BTreeMap<Vec<u8>, User<T>>>,
}

struct User<T> {
    own: T,
    uses: Arc<()>,
    since: Instant,
}

/// What a user has, while he uses it.
pub(crate) struct Use<T> {
    pub(crate) own: T,
    _uses: Arc<()>,
}

/// There are as many as can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

impl<T: Clone> Users<T> {
    pub(crate) fn new(
        most: usize,
        make: impl Fn() -> T + Send + Sync + 'static,
        end: impl Fn(&T) + Send + Sync + 'static,
    ) -> Self {
        Self { most, make: Box::new(make), end: Box::new(end), all: Mutex::default() }
    }

    /// What this one has.
    pub(crate) fn of(&self, name: &[u8], now: Instant) -> Result<Use<T>, TooMany> {
        let mut all = self.all.lock();
        if all.len() >= self.most && !all.contains_key(name) {
            let unused = all.iter().filter(|(_, user)| Arc::strong_count(&user.uses) == 1 && now > user.since + IDLE);
            let longest = unused.min_by_key(|(_, user)| user.since).map(|(name, _)| name.clone()).ok_or(TooMany)?;
            if let Some(user) = all.remove(&longest) {
                (self.end)(&user.own);
            }
        }
        let new = || User { own: (self.make)(), uses: Arc::new(()), since: now };
        let user = all.entry(name.to_vec()).or_insert_with(new);
        user.since = now;
        Ok(Use { own: user.own.clone(), _uses: Arc::clone(&user.uses) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    #[test]
    fn each_name_has_its_own_and_who_is_gone_for_long_gives_way_to_one_too_many() {
        let ended = Arc::new(Mutex::new(Vec::new()));
        let (made, to) = (AtomicUsize::new(0), Arc::clone(&ended));
        let users = Users::new(2, move || made.fetch_add(1, Relaxed), move |own| to.lock().push(*own));
        let now = Instant::now();
        let own = |name: &[u8], now| users.of(name, now).map(|used| used.own);
        assert_eq!([own(b"a", now), own(b"b", now), own(b"a", now)], [Ok(0), Ok(1), Ok(0)]);
        let later = now + IDLE + Duration::from_secs(1);
        assert_eq!(own(b"c", now), Err(TooMany));
        let a = users.of(b"a", now);
        assert_eq!(own(b"c", later), Ok(2), "b has gone, a is in use");
        assert_eq!(*ended.lock(), [1]);
        drop(a);
        assert_eq!(own(b"a", later), Ok(0));
    }
}
