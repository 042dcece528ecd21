//! Java I2P's `i2ptunnel.config`, and its files of one tunnel.

use super::{Found, Taken, callers, key_file};
use crate::settings::Endpoint;
use crate::settings::tunnel::Tunnel;
use std::collections::BTreeMap;
use std::path::Path;

/// What begins the keys of one tunnel among several.
const TUNNEL: &str = "tunnel.";

/// Options that we say when they are set, since they are of weight: who could read what, and who could come.
const WEIGHTY: &[&str] =
    &["option.proxyAuth", "option.outproxyAuth", "option.i2cp.encryptLeaseSet", "option.useSSL", "filterDefinition"];

pub(super) fn parse<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<Found> {
    let mut all: BTreeMap<u32, Found> = BTreeMap::new();
    for (key, value) in lines.filter_map(|line| line.split_once('=')) {
        let (number, key) = match key.trim().strip_prefix(TUNNEL).and_then(|rest| rest.split_once('.')) {
            Some((number, key)) => match number.parse() {
                Ok(number) => (number, key),
                Err(_) => continue,
            },
            None => (0, key.trim()),
        };
        all.entry(number).or_default().values.insert(key.to_owned(), value.trim().to_owned());
    }
    // A file that has no type is of something else.
    all.retain(|_, found| found.values.contains_key("type"));
    let named = all.into_iter().map(|(number, mut found)| {
        found.name = found.get("name").map_or_else(|| format!("tunnel {number}"), str::to_owned);
        found
    });
    named.collect()
}

/// # Errors
/// Why there is none like it here.
pub(super) fn take(found: &Found, folder: &Path, taken: &mut Taken) -> Result<Tunnel, String> {
    let notes = &mut taken.notes;
    let mut tunnel = Tunnel::default();
    let kind = found.get("type").unwrap_or_default();
    let (ours, server) = match kind {
        "client" => ("client", false),
        "ircclient" => ("irc-client", false),
        "httpclient" => ("http-proxy", false),
        "sockstunnel" | "socksirctunnel" => ("socks", false),
        "connectclient" => ("connect", false),
        "server" => ("server", true),
        "httpserver" | "httpbidirserver" => ("http-server", true),
        "ircserver" => ("irc-server", true),
        other => return Err(format!("there is no tunnel of type {other} here yet")),
    };
    if matches!(kind, "socksirctunnel" | "httpbidirserver") {
        notes.push(format!("{kind} became {ours}: the other half is to be a tunnel of its own"));
    }
    ours.clone_into(&mut tunnel.r#type);
    taken.off = found.get("startOnLoad") == Some("false");
    let notes = &mut taken.notes;
    if server {
        take_server(found, &mut tunnel, notes)?;
    } else {
        tunnel.listen = Endpoint(Some(found.endpoint("interface", "listenPort")?));
        if matches!(ours, "client" | "irc-client") {
            let all = found.get("targetDestination").ok_or("it has no destination")?;
            let first = all.split([',', ' ']).next().unwrap_or(all);
            if first != all {
                notes.push(format!("of several destinations the first: {all}"));
            }
            let (name, port) = first.split_once(':').unwrap_or((first, "0"));
            name.clone_into(&mut tunnel.destination);
            tunnel.port = port.parse().map_err(|_| format!("{first} has no port"))?;
        }
    }
    tunnel.keys = if !server && found.is("sharedClient") {
        "transient-shared".to_owned()
    } else if server || found.is("option.persistentClientKey") {
        key_file(folder, found.get("privKeyFile").ok_or("it has no key file")?, notes)
    } else {
        "transient".to_owned()
    };
    found.shape("option.", &mut tunnel, notes);
    let weighty = WEIGHTY.iter().filter_map(|key| Some((key, found.get(key).filter(|value| *value != "false")?)));
    notes.extend(weighty.map(|(key, value)| format!("there is nothing here like {key} = {value}")));
    if found.get("proxyList").is_some() {
        notes.push("a proxy of its own has no outproxies here: the one of [http_proxy] does, by outproxies".to_owned());
    }
    Ok(tunnel)
}

fn take_server(found: &Found, tunnel: &mut Tunnel, notes: &mut Vec<String>) -> Result<(), String> {
    tunnel.target = Endpoint(Some(found.endpoint("targetHost", "targetPort")?));
    found.get("spoofedHost").unwrap_or_default().clone_into(&mut tunnel.host);
    found.get("option.ircserver.webircPassword").unwrap_or_default().clone_into(&mut tunnel.webirc_password);
    tunnel.reject_inproxy = found.is("option.rejectInproxy");
    let list = || callers(found.get("option.i2cp.accessList").unwrap_or_default());
    if found.is("option.i2cp.enableAccessList") {
        tunnel.allow = list();
    } else if found.is("option.i2cp.enableBlackList") {
        tunnel.deny = list();
    }
    // So many in a time of so many seconds.
    let number = |key: &str| found.get(key).and_then(|text| text.parse::<u32>().ok());
    if let Some(posts) = number("option.maxPosts") {
        let seconds = number("option.postCheckTime").unwrap_or(300).max(1);
        tunnel.changes_per_minute = (posts.saturating_mul(60)).div_ceil(seconds);
        notes.push(format!("maxPosts = {posts} in {seconds} s became {} a minute", tunnel.changes_per_minute));
    }
    Ok(())
}
