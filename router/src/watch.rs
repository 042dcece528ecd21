//! Says in the log, and to the service manager, when the router can do its work and when it no longer can, and why.

use crate::service;
use actix::clock::{interval, sleep};
use ramson_actors::node::Node;
use std::time::Duration;

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Looks in a row that must agree before anything is said: a tunnel that is replaced is not worth a line.
const AGREED: u32 = 30;

/// Whoever is not ready is told why after so many looks, and again after so many more.
const PATIENCE: u32 = 60;
const AGAIN: u32 = 600;

/// What was said last, and since when it is otherwise.
#[derive(Debug, Default)]
struct Watch {
    ready: bool,
    /// Looks in a row at which it was otherwise than was said.
    otherwise: u32,
    /// Looks at which it was not ready, since it last was.
    waiting: u32,
}

/// What is to be said.
#[derive(Debug, PartialEq, Eq)]
enum Say {
    Ready,
    NotReady,
    NotReadyYet,
}

impl Watch {
    fn look(&mut self, ready: bool) -> Option<Say> {
        if ready {
            self.waiting = 0;
        } else {
            self.waiting = self.waiting.saturating_add(1);
        }
        if ready == self.ready {
            self.otherwise = 0;
        } else {
            self.otherwise += 1;
            // That it can do its work is said at once.
            if ready || self.otherwise >= AGREED {
                self.ready = ready;
                self.otherwise = 0;
                return Some(if ready { Say::Ready } else { Say::NotReady });
            }
        }
        let due = self.waiting == PATIENCE || self.waiting.is_multiple_of(AGAIN);
        (!ready && !self.ready && self.waiting > 0 && due).then_some(Say::NotReadyYet)
    }
}

/// Begins to look, until the system ends.
pub(crate) fn begin(node: Node) {
    actix::spawn(async move {
        let (mut watch, mut clock) = (Watch::default(), interval(LOOK));
        loop {
            clock.tick().await;
            if node.shared().draining() {
                return;
            }
            let readiness = node.readiness();
            let why = readiness.as_ref().err().map_or("", String::as_str);
            match watch.look(readiness.is_ok()) {
                None => continue,
                Some(Say::Ready) => {
                    let routers = node.netdb().counts().0;
                    tracing::info!(routers, "ready: other routers are known, and tunnels of our own stand");
                }
                Some(Say::NotReady) => tracing::warn!("not ready any more: {why}"),
                Some(Say::NotReadyYet) => tracing::warn!("not ready yet: {why}"),
            }
            service::status(if why.is_empty() { "ready" } else { why });
        }
    });
    if let Some(every) = service::heartbeat() {
        actix::spawn(async move {
            loop {
                service::alive();
                sleep(every).await;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_is_said_once_and_a_short_gap_not_at_all() {
        let mut watch = Watch::default();
        let mut said = Vec::new();
        let mut look = |ready: bool, times: u32| (0..times).for_each(|_| said.extend(watch.look(ready)));
        look(false, 10);
        look(true, 100);
        look(false, AGREED - 1);
        look(true, 100);
        look(false, AGREED);
        look(true, 1);
        assert_eq!(said, [Say::Ready, Say::NotReady, Say::Ready]);
    }

    #[test]
    fn a_router_that_does_not_become_ready_is_not_silent() {
        let mut watch = Watch::default();
        let said: Vec<_> = (0..1800).filter_map(|_| watch.look(false)).collect();
        assert_eq!(said, [Say::NotReadyYet, Say::NotReadyYet, Say::NotReadyYet, Say::NotReadyYet]);
    }
}
