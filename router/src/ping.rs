//! `ramson ping`: asks a destination whether it is there, as one of ours that lives for this alone.

use crate::Failure;
use crate::control::{Request, ask};
use crate::output::say;
use crate::proxy::nobody;
use actix::clock::{sleep, timeout};
use ramson_actors::destination::DestinationHandle;
use ramson_actors::node::Node;
use ramson_actors::pool::Wanted;
use ramson_apps::names::Names;
use ramson_apps::network::Target;
use ramson_apps::tunnel::Remote;
use ramson_protocol::id::DestinationHash;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

/// The destination has tunnels by then, or there are none to be had.
const TUNNELS: Duration = Duration::from_secs(40);
const LOOK: Duration = Duration::from_millis(100);

/// An answer comes by then, or not at all.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two pings. INTEROP: a destination of ours answers two in a second, others more.
const PAUSE: Duration = Duration::from_secs(1);

/// The most that are asked for at once.
const MOST: u8 = 16;

/// How long the whole of it may take: tunnels, a search, all pings.
pub(crate) const WHOLE: Duration = Duration::from_secs(40 + 30 + 16 * 11);

/// Asks the router that runs with this data folder, and prints what it says.
///
/// # Errors
/// If none runs, the name is not known, or nobody is found there.
pub(crate) fn ping(data: &Path, whom: &str, count: u8) -> Result<(), Failure> {
    let answer = ask(data, &Request::Ping { whom: whom.to_owned(), count })?;
    Ok(say(answer.as_str().unwrap_or_default())?)
}

/// Does it, inside of the router.
///
/// # Errors
/// Words for the operator.
pub(crate) async fn perform(node: &Node, names: Names, whom: String, count: u8) -> Result<Value, String> {
    let remote = Remote::parse(&whom)?;
    let target = tokio::task::spawn_blocking(move || remote.find(&names)).await;
    let target = target.map_err(|_| "the address book failed: the router's log says why")??;
    let opened = node
        .destinations()
        .open(nobody(Wanted::new(2, 3)))
        .ok_or("no thread takes another destination now: try again")?;
    let destination = Ends(opened.0);
    let text = talk(&destination.0, target, count.clamp(1, MOST)).await;
    Ok(json!(text?))
}

/// A destination that ends with what it was made for, however that ends.
struct Ends(DestinationHandle);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.close();
    }
}

async fn talk(destination: &DestinationHandle, target: Target, count: u8) -> Result<String, String> {
    let ready = async {
        while !destination.is_ready() {
            sleep(LOOK).await;
        }
    };
    timeout(TUNNELS, ready).await.map_err(|_| "no tunnels could be built: `ramson doctor` says why")?;
    let found = match target {
        Target::Hash(hash) => destination.find(hash).await.map(|found| found.hash()),
        Target::Blinded(address) => {
            Some(destination.find_blinded(address).await.map_err(|error| error.to_string())?.hash())
        }
    };
    let hash = found.ok_or("its LeaseSet was not found: it is offline, or there is none of that name")?;
    let mut times = Vec::with_capacity(count.into());
    for n in 0..count {
        if n > 0 {
            sleep(PAUSE).await;
        }
        times.push(destination.ping(hash, PATIENCE).await);
    }
    Ok(words(hash, &times))
}

fn words(hash: DestinationHash, times: &[Option<Duration>]) -> String {
    let mut text = format!("{}\n", hash.to_b32());
    for time in times {
        // Writing to a string cannot fail.
        let _ = match time {
            Some(time) => writeln!(text, "answered after {} ms", time.as_millis()),
            None => writeln!(text, "no answer within {} s", PATIENCE.as_secs()),
        };
    }
    let answered: Vec<Duration> = times.iter().copied().flatten().collect();
    let _ = write!(text, "{} of {} answered", answered.len(), times.len());
    let _ = match (answered.iter().min(), answered.iter().max()) {
        (Some(least), Some(most)) => writeln!(text, ", {} to {} ms", least.as_millis(), most.as_millis()),
        _ => writeln!(text, ": it may be one that answers no pings, as clients do"),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_one_by_one_and_together() {
        let hash = DestinationHash([1; 32]);
        let times = [Some(Duration::from_millis(700)), None, Some(Duration::from_millis(450))];
        let text = words(hash, &times);
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                "answered after 700 ms",
                "no answer within 10 s",
                "answered after 450 ms",
                "2 of 3 answered, 450 to 700 ms"
            ]
        );
        assert!(
            words(hash, &[None]).ends_with("0 of 1 answered: it may be one that answers no pings, as clients do\n")
        );
    }
}
