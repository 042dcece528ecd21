//! What takes the streams that others begin with a destination of ours: one service, or several by port.
//!
//! ```text
//! stream to port P --> the service of port P, else the first --> may this caller come? (Guard) --> the service's task
//! ```
//! INTEROP: i2pd gives what is for a port that nobody serves to the tunnel that came first, too.

pub mod filter;
pub mod limits;

use crate::series::REFUSED;
use filter::FilterFile;
use limits::{Counts, Limits};
use parking_lot::Mutex;
use ramson_clients::Stream;
use ramson_protocol::id::DestinationHash;
use ramson_protocol::time::Mono;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;

/// Streams that wait for a service; what comes beyond is broken off.
const WAITING: usize = 256;

/// Who may come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    #[default]
    All,
    /// These alone.
    Only(BTreeSet<DestinationHash>),
    /// All but these.
    AllBut(BTreeSet<DestinationHash>),
}

impl Access {
    /// Whether this caller may.
    pub fn allows(&self, caller: &DestinationHash) -> bool {
        match self {
            Self::All => true,
            Self::Only(these) => these.contains(caller),
            Self::AllBut(these) => !these.contains(caller),
        }
    }
}

/// Who may come, and how often.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// Who.
    pub access: Access,
    /// A filter of the owner's, if there is one.
    pub filter: Option<FilterFile>,
    /// How often.
    pub limits: Limits,
}

impl From<Access> for Guard {
    fn from(access: Access) -> Self {
        Self { access, ..Self::default() }
    }
}

/// The services of a destination; clones are the same ones.
#[derive(Clone)]
pub struct Services {
    all: Arc<Mutex<Vec<Service>>>,
    began: Instant,
}

impl Default for Services {
    fn default() -> Self {
        Self { all: Arc::default(), began: Instant::now() }
    }
}

struct Service {
    port: u16,
    guard: Guard,
    counts: Counts,
    to: mpsc::Sender<Stream>,
}

impl Service {
    /// Why a call is not taken, if it is not.
    fn refusal(&mut self, who: &DestinationHash, now: Mono) -> Option<&'static str> {
        if !self.guard.access.allows(who) {
            return Some("access_list");
        }
        if self.guard.filter.as_ref().is_some_and(|filter| !filter.allows(*who, now)) {
            return Some("filter");
        }
        (!self.counts.may(&self.guard.limits, *who, now)).then_some("too_often")
    }
}

impl Services {
    /// A service for a port, or for port 0, which no caller names unless he wants whatever there is. It is over when the
    /// receiver is dropped.
    pub fn add(&self, port: u16, guard: impl Into<Guard>) -> mpsc::Receiver<Stream> {
        let (to, streams) = mpsc::channel(WAITING);
        let mut all = self.all.lock();
        all.retain(|service| !service.to.is_closed());
        all.push(Service { port, guard: guard.into(), counts: Counts::default(), to });
        streams
    }

    /// Hands on what comes, until the destination is over.
    pub async fn serve(self, mut accepted: mpsc::Receiver<Stream>) {
        while let Some(stream) = accepted.recv().await {
            let port = stream.caller().map_or(0, |(_, ports)| ports.from);
            if let Some(to) = self.find(port, &stream.remote()) {
                // One that is not taken is dropped, which breaks it off.
                if to.try_send(stream).is_err() {
                    REFUSED.add(["server", "busy"], 1);
                }
            }
        }
    }

    fn find(&self, port: u16, caller: &DestinationHash) -> Option<mpsc::Sender<Stream>> {
        let mut all = self.all.lock();
        all.retain(|service| !service.to.is_closed());
        let at = all.iter().position(|service| service.port == port).unwrap_or(0);
        let service = all.get_mut(at)?;
        if let Some(reason) = service.refusal(caller, self.began.elapsed()) {
            REFUSED.add(["server", reason], 1);
            return None;
        }
        Some(service.to.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRIEND: DestinationHash = DestinationHash([1; 32]);
    const STRANGER: DestinationHash = DestinationHash([2; 32]);

    #[test]
    fn a_port_leads_to_its_service_and_any_other_to_the_first_that_still_stands() {
        let services = Services::default();
        assert!(services.find(80, &FRIEND).is_none());
        let web = services.add(80, Access::All);
        let irc = services.add(6667, Access::Only(BTreeSet::from([FRIEND])));
        // The second is known by a place in its queue that is taken.
        let found = |port| services.find(port, &FRIEND).map(|to| to.max_capacity() - to.capacity());
        let _held = services.find(6667, &FRIEND).map(|to| to.try_reserve_owned());
        assert_eq!([found(80), found(6667), found(0), found(7)], [Some(0), Some(1), Some(0), Some(0)]);
        assert!(services.find(6667, &STRANGER).is_none(), "nor is he led to another service");
        drop(web);
        assert_eq!(found(80), Some(1));
        drop(irc);
        assert_eq!(found(80), None);
    }

    #[test]
    fn an_access_list_names_those_who_may_or_those_who_may_not() {
        let friends = BTreeSet::from([FRIEND]);
        for (access, friend, stranger) in [
            (Access::All, true, true),
            (Access::Only(friends.clone()), true, false),
            (Access::AllBut(friends), false, true),
        ] {
            assert_eq!((access.allows(&FRIEND), access.allows(&STRANGER)), (friend, stranger), "{access:?}");
        }
    }
}
