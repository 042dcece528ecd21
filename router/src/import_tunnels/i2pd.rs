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
    "inbound.lengthvariance",
    "outbound.lengthvariance",
    "inbound.backupquantity",
    "outbound.backupquantity",
    "explicitpeers",
    "gzip",
    "signaturetype",
    "cryptotype",
    "i2cp.leasesettype",
    "i2cp.leasesetenctype",
    "i2cp.leasesetauthtype",
    "i2cp.leasesetprivkey",
    "addresshelper",
    "i2pheaders",
    "enableuniquelocal",
    "ssl",
    "outproxy",
    "datagramversion",
];

/// What the clients of an encrypted LeaseSet are named by.
const CLIENTS: &str = "i2cp.leasesetclient.";

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

/// Whose LeaseSet is encrypted, for whom, and with which key it reads others'.
fn encrypted(found: &Found, tunnel: &mut Tunnel) {
    tunnel.encrypted = found.get("i2cp.leasesettype") == Some("5");
    let clients = |kind: &str| {
        let prefix = format!("{CLIENTS}{kind}.");
        let of_kind = found.values.iter().filter(|(key, _)| key.starts_with(&prefix));
        // The name of a client stands before his key.
        of_kind.filter_map(|(_, value)| value.split_once(':')).map(|(_, key)| key.to_owned()).collect()
    };
    match found.get("i2cp.leasesetauthtype") {
        Some("1") => tunnel.readers = clients("dh"),
        Some("2") => tunnel.reader_secrets = clients("psk"),
        _ => {}
    }
    found.get("i2cp.leasesetprivkey").unwrap_or_default().clone_into(&mut tunnel.reader_key);
}

/// The outproxy of a proxy for HTTP, if it is in I2P. That of one for SOCKS is a program outside.
fn outproxy(found: &Found, kind: &str, tunnel: &mut Tunnel, notes: &mut Vec<String>) {
    let Some(url) = found.get("outproxy") else { return };
    let place = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
    if kind == "httpproxy" && place.split(':').next().is_some_and(|host| host.ends_with(".i2p")) {
        tunnel.outproxies = vec![place.to_owned()];
    } else {
        notes.push(format!("{url} is no outproxy within I2P"));
    }
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
        "udpclient" => ("udp-client", false),
        "udpserver" => ("udp-server", true),
        other => return Err(format!("there is no tunnel of type {other} here yet")),
    };
    ours.clone_into(&mut tunnel.r#type);
    if server {
        tunnel.target = Endpoint(Some(found.endpoint("host", "port")?));
        // A port that is not said is that of the program.
        let port = found.get("inport").or_else(|| found.get("port")).and_then(|text| text.parse().ok());
        tunnel.port = port.unwrap_or_default();
        tunnel.allow = callers(found.get("accesslist").or_else(|| found.get("whitelist")).unwrap_or_default());
        tunnel.tls = found.is("ssl");
        tunnel.unique_local = !found.is_off("enableuniquelocal");
        for (theirs, ours) in [("hostoverride", &mut tunnel.host), ("webircpassword", &mut tunnel.webirc_password)] {
            found.get(theirs).unwrap_or_default().clone_into(ours);
        }
    } else {
        tunnel.listen = Endpoint(Some(found.endpoint("address", "port")?));
        outproxy(found, kind, &mut tunnel, notes);
        if matches!(kind, "client" | "udpclient") {
            found.get("destination").ok_or("it has no destination")?.clone_into(&mut tunnel.destination);
            tunnel.port = found.get("destinationport").and_then(|text| text.parse().ok()).unwrap_or_default();
            tunnel.datagrams = found.get("datagramversion").and_then(|text| text.parse().ok()).unwrap_or(1);
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
    encrypted(found, &mut tunnel);
    let known = |key: &str| KNOWN.contains(&key) || key.starts_with(CLIENTS);
    let others = found.values.iter().filter(|(key, _)| !known(key));
    notes.extend(others.map(|(key, value)| format!("there is nothing here like {key} = {value}")));
    Ok(tunnel)
}
