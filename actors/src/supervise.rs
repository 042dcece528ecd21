//! Who must live for the node to live: every long-lived actor, every worker and every thread of the data plane.
//!
//! An actor that panics is gone, and its mailbox with it; what it knew cannot be had back by starting another one. So the
//! end of any of them that nobody asked for ends the node, with a line that says whose end it was, and the service
//! manager starts it anew. `/health/ready` tells it in between.

use crate::series::control;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::watch;

/// Whether the node is to go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Fate {
    /// It goes on.
    #[default]
    Living,
    /// It was told to end, so that every end is expected.
    Ending,
    /// Something has ended that must not.
    Failed(String),
}

/// The node's fate; clones share it.
#[derive(Clone, Debug)]
pub struct Vitals(Arc<Mutex<watch::Sender<Fate>>>);

impl Default for Vitals {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(watch::Sender::default())))
    }
}

/// To be held by whoever must live: its end is noticed when this is dropped.
#[derive(Debug)]
pub struct Vital {
    name: &'static str,
    vitals: Vitals,
}

impl Vitals {
    /// A guard for whoever must live.
    pub fn guard(&self, name: &'static str) -> Vital {
        Vital { name, vitals: self.clone() }
    }

    /// From now on it is right that all end.
    pub fn end(&self) {
        self.0.lock().send_modify(|fate| {
            if *fate == Fate::Living {
                *fate = Fate::Ending;
            }
        });
    }

    /// Something has ended; whether that was meant is known here.
    pub(crate) fn ended(&self, name: &str) {
        let unexpected = self.0.lock().send_if_modified(|fate| {
            let living = *fate == Fate::Living;
            if living {
                *fate = Fate::Failed(name.to_owned());
            }
            living
        });
        if unexpected {
            control::UNEXPECTED_ENDS.add([], 1);
            tracing::error!(what = name, "has ended although nobody asked for it: the node cannot go on");
        }
    }

    /// What has ended that must not, if anything has.
    pub fn failure(&self) -> Option<String> {
        match &*self.0.lock().borrow() {
            Fate::Failed(name) => Some(name.clone()),
            Fate::Living | Fate::Ending => None,
        }
    }

    /// Waits until something has ended that must not; its name.
    pub async fn failed(&self) -> String {
        let mut fate = self.0.lock().subscribe();
        loop {
            if let Fate::Failed(name) = &*fate.borrow_and_update() {
                return name.clone();
            }
            if fate.changed().await.is_err() {
                // The sender lives in `self`, so this does not happen.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until all are to end.
    pub(crate) fn over(&self) -> impl Future<Output = ()> + use<> + 'static {
        let mut fate = self.0.lock().subscribe();
        async move {
            // An error says that nobody is left who could tell.
            let _ = fate.wait_for(|fate| *fate != Fate::Living).await;
        }
    }
}

impl Drop for Vital {
    fn drop(&mut self) {
        self.vitals.ended(self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix::prelude::*;

    struct Fragile {
        _vital: Vital,
    }

    impl Actor for Fragile {
        type Context = Context<Self>;
    }

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Panic;

    impl Handler<Panic> for Fragile {
        type Result = ();

        fn handle(&mut self, _: Panic, _: &mut Context<Self>) {
            panic!("as the test wants it");
        }
    }

    #[actix::test]
    async fn an_actor_that_panics_is_noticed_by_name() {
        let vitals = Vitals::default();
        let fragile = Fragile { _vital: vitals.guard("fragile") }.start();
        assert_eq!(vitals.failure(), None);
        assert!(fragile.send(Panic).await.is_err());
        assert_eq!(vitals.failed().await, "fragile");
        assert_eq!(vitals.failure().as_deref(), Some("fragile"));
        vitals.over().await;
    }

    #[actix::test]
    async fn ends_that_were_asked_for_are_no_failure() {
        let vitals = Vitals::default();
        let guard = vitals.guard("any");
        let over = vitals.over();
        vitals.end();
        over.await;
        drop(guard);
        assert_eq!(vitals.failure(), None);
    }
}
