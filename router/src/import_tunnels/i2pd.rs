//! i2pd's `tunnels.conf`.

use super::{Found, Taken, callers, key_file};
use crate::settings::Endpoint;
use crate::settings::tunnel::Tunnel;
use std::path::Path;

/// Keys of which we have the like, or which change nothing here.
const KNOWN: &[&str] = &[
    "type",
    "address",
    "port",
    "destination",
    "destinationport",
    "keys",
    "host",
    "inport",
    "accesslist",
    "whitelist",
    "hostoverride",
    "webircpassword",
    "inbound.length",
    "outbound.length",
    "inbound.quantity",
    "outbound.quantity",
    "gzip",
    "signaturetype",
    "cryptotype",
    "i2cp.leasesettype",
    "i2cp.leasesetenctype",
    "addresshelper",
    "i2pheaders",
];

pub(super) fn parse<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<Found> {
    let mut all: Vec<Found> = Vec::new();
    for line in lines {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            all.push(Found { name: name.trim().to_owned(), ..Found::default() });
        } else if let (Some(found), Some((key, value))) = (all.last_mut(), line.split_once('=')) {
            found.values.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    all
}

/// # Errors
/// Why there is none like it here.
pub(super) fn take(found: &Found, folder: &Path, taken: &mut Taken) -> Result<Tunnel, String> {
    let notes = &mut taken.notes;
    let kind = found.get("type").ok_or("it has no type")?;
    // INTEROP: i2pd's own default.
    let mut tunnel = Tunnel { quantity: 5, ..Tunnel::default() };
    let (ours, server) = match kind {
        "client" => ("client", false),
        "socks" => ("socks", false),
        "httpproxy" => ("http-proxy", false),
        "server" => ("server", true),
        "http" => ("http-server", true),
        "irc" => ("irc-server", true),
        other => return Err(format!("there is no tunnel of type {other} here yet")),
    };
    ours.clone_into(&mut tunnel.r#type);
    if server {
        tunnel.target = Endpoint(Some(found.endpoint("host", "port")?));
        // A port that is not said is that of the program.
        let port = found.get("inport").or_else(|| found.get("port")).and_then(|text| text.parse().ok());
        tunnel.port = port.unwrap_or_default();
        tunnel.allow = callers(found.get("accesslist").or_else(|| found.get("whitelist")).unwrap_or_default());
        for (theirs, ours) in [("hostoverride", &mut tunnel.host), ("webircpassword", &mut tunnel.webirc_password)] {
            found.get(theirs).unwrap_or_default().clone_into(ours);
        }
    } else {
        tunnel.listen = Endpoint(Some(found.endpoint("address", "port")?));
        if kind == "client" {
            found.get("destination").ok_or("it has no destination")?.clone_into(&mut tunnel.destination);
            tunnel.port = found.get("destinationport").and_then(|text| text.parse().ok()).unwrap_or_default();
        }
    }
    tunnel.keys = match found.get("keys") {
        None if server => return Err("it has no keys".to_owned()),
        None => "transient".to_owned(),
        Some("shareddest") => "transient-shared".to_owned(),
        Some(word) if word.starts_with("transient") => word.to_owned(),
        Some(file) => key_file(folder, file, notes),
    };
    found.shape("", &mut tunnel, notes);
    let others = found.values.iter().filter(|(key, _)| !KNOWN.contains(&key.as_str()));
    notes.extend(others.map(|(key, value)| format!("there is nothing here like {key} = {value}")));
    Ok(tunnel)
}
