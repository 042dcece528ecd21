//! `ramson destinations`: the keys of the data folder, and what stands at each destination if the router runs.

use crate::Failure;
use crate::control::{Request, ask};
use crate::output::say;
use crate::tunnels::{self, Kept};
use ramson_actors::node::Node;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// Remotes that are told by name.
const NAMED: usize = 20;

/// Prints them.
///
/// # Errors
/// If the folder cannot be read, or with `as_json` no router runs.
pub(crate) fn list(data: &Path, as_json: bool) -> Result<(), Failure> {
    let kept = tunnels::kept(data)?;
    let standing = ask(data, &Request::Destinations {});
    if as_json {
        return Ok(say(&format!("{}\n", standing?))?);
    }
    let mut text = String::new();
    let mut standing: BTreeMap<String, Value> =
        standing.map(|all| by_address(&all)).unwrap_or_default().into_iter().collect();
    for Kept { name, address, encrypted } in kept {
        let address = address.unwrap_or_else(|error| error);
        let state = standing.remove(&address).map(|one| words(&one)).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:20} {address}{state}");
        if let Some(encrypted) = encrypted {
            let _ = writeln!(text, "{:20} {encrypted} if its LeaseSet is encrypted", "");
        }
    }
    for (address, one) in standing {
        let _ = writeln!(text, "{:20} {address}{}", "-", words(&one));
    }
    Ok(say(&text)?)
}

/// All that stand, as the router knows them.
pub(crate) async fn gather(node: &Node) -> Value {
    let all = node.destinations().all().await.into_iter().map(|one| {
        let mut remotes: Vec<_> = one.with.remotes.iter().collect();
        remotes.sort_by_key(|(_, streams)| std::cmp::Reverse(**streams));
        let named =
            remotes.iter().take(NAMED).map(|(hash, streams)| json!({ "address": hash.to_b32(), "streams": streams }));
        json!({
            "address": one.hash.to_b32(),
            "published": one.published,
            "inbound_tunnels": one.inbound,
            "outbound_tunnels": one.outbound,
            "sessions": one.with.sessions,
            "streams": one.with.remotes.values().sum::<usize>(),
            "remotes": one.with.remotes.len(),
            "most_with": named.collect::<Vec<_>>(),
        })
    });
    Value::Array(all.collect())
}

fn by_address(all: &Value) -> Vec<(String, Value)> {
    let all = all.as_array().map_or(&[][..], Vec::as_slice);
    let address = |one: &Value| one.get("address").and_then(Value::as_str).unwrap_or_default().to_owned();
    all.iter().map(|one| (address(one), one.clone())).collect()
}

fn words(one: &Value) -> String {
    let of = |key: &str| one.get(key).and_then(Value::as_u64).unwrap_or_default();
    let found = if one.get("published") == Some(&Value::Bool(true)) { "" } else { ", not to be found" };
    format!(
        "  {} tunnels in, {} out; {} streams with {}{found}",
        of("inbound_tunnels"),
        of("outbound_tunnels"),
        of("streams"),
        of("remotes")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_told_in_words() {
        let one = json!({
            "address": "x", "published": false, "inbound_tunnels": 3, "outbound_tunnels": 2, "streams": 5, "remotes": 1,
        });
        assert_eq!(by_address(&json!([one])), [("x".to_owned(), one.clone())]);
        assert_eq!(words(&one), "  3 tunnels in, 2 out; 5 streams with 1, not to be found");
    }
}
