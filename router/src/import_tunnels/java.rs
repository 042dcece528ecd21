//! Java I2P's `i2ptunnel.config`, and its files of one tunnel.

use super::{Found, Taken, callers, key_file};
use crate::settings::Endpoint;
use crate::settings::tunnel::{IDLE, TUNNELS, Tunnel};
use crate::units::Span;
use ramson_protocol::base64;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// What begins the keys of one tunnel among several.
const TUNNEL: &str = "tunnel.";

/// Options that we say when they are set, since they are of weight: who could read what, and who could come.
const WEIGHTY: &[&str] = &["option.outproxyAuth", "option.i2cp.encryptLeaseSet"];

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
    named.flat_map(both_halves).collect()
}

/// A tunnel of both directions is two of ours with the same keys.
fn both_halves(mut found: Found) -> Vec<Found> {
    if found.get("type") != Some("httpbidirserver") {
        return vec![found];
    }
    let mut client = Found { name: format!("{} client", found.name), values: found.values.clone() };
    for (key, value) in [("type", "httpclient"), ("sharedClient", "false"), ("option.persistentClientKey", "true")] {
        client.values.insert(key.to_owned(), value.to_owned());
    }
    found.values.insert("type".to_owned(), "httpserver".to_owned());
    vec![found, client]
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
        "httpserver" => ("http-server", true),
        "ircserver" => ("irc-server", true),
        "streamrclient" => ("streamr-client", false),
        "streamrserver" => ("streamr-server", true),
        other => return Err(format!("there is no tunnel of type {other} here yet")),
    };
    if kind == "socksirctunnel" {
        notes.push("socksirctunnel became socks, without the filter for IRC: that has the type irc-client".to_owned());
    }
    ours.clone_into(&mut tunnel.r#type);
    taken.off = found.get("startOnLoad") == Some("false");
    let notes = &mut taken.notes;
    match kind {
        "streamrserver" => tunnel.listen = Endpoint(Some(found.endpoint("interface", "listenPort")?)),
        "streamrclient" => tunnel.target = Endpoint(Some(found.endpoint("targetHost", "targetPort")?)),
        _ if server => take_server(found, folder, &mut tunnel, notes)?,
        _ => tunnel.listen = Endpoint(Some(found.endpoint("interface", "listenPort")?)),
    }
    if matches!(ours, "client" | "irc-client" | "streamr-client") {
        let all = found.get("targetDestination").ok_or("it has no destination")?;
        let first = all.split([',', ' ']).next().unwrap_or(all);
        if first != all {
            notes.push(format!("of several destinations the first: {all}"));
        }
        let (name, port) = first.split_once(':').unwrap_or((first, "0"));
        name.clone_into(&mut tunnel.destination);
        tunnel.port = port.parse().map_err(|_| format!("{first} has no port"))?;
    }
    if matches!(ours, "http-proxy" | "connect" | "socks") {
        take_proxy(found, &mut tunnel, notes);
    }
    tunnel.keys = if !server && found.is("sharedClient") {
        "transient-shared".to_owned()
    } else if server || found.is("option.persistentClientKey") {
        key_file(folder, found.get("privKeyFile").ok_or("it has no key file")?, notes)
    } else {
        "transient".to_owned()
    };
    tunnel.delay_open = found.is("option.i2cp.delayOpen");
    found.shape("option.", &mut tunnel, notes);
    take_idle(found, server, &mut tunnel, notes);
    let weighty = WEIGHTY.iter().filter_map(|key| Some((key, found.get(key).filter(|value| *value != "false")?)));
    notes.extend(weighty.map(|(key, value)| format!("there is nothing here like {key} = {value}")));
    Ok(tunnel)
}

/// What is given up while nobody uses it. INTEROP: times are in milliseconds.
fn take_idle(found: &Found, server: bool, tunnel: &mut Tunnel, notes: &mut Vec<String>) {
    let mut time = |key: &str, ours: &mut Span| {
        let asked = found.get(&format!("option.i2cp.{key}")).and_then(|text| text.parse().ok());
        if let Some(asked) = asked {
            take_time(key, Duration::from_millis(asked), ours, notes);
        }
    };
    time("reduceIdleTime", &mut tunnel.reduce_after);
    time("closeIdleTime", &mut tunnel.close_after);
    tunnel.reduce_on_idle = found.is("option.i2cp.reduceOnIdle");
    if let Some(few) = found.number("option.i2cp.reduceQuantity", &TUNNELS, notes) {
        tunnel.reduce_quantity = few;
    }
    // INTEROP: Java closes no server either.
    tunnel.close_on_idle = found.is("option.i2cp.closeOnIdle") && !server && tunnel.r#type != "streamr-client";
    let anew = tunnel.close_on_idle && tunnel.keys.starts_with("transient");
    tunnel.new_keys_on_idle = anew && found.is("option.i2cp.newDestOnResume");
}

/// A time within what we have, with a note if it was another.
fn take_time(key: &str, asked: Duration, ours: &mut Span, notes: &mut Vec<String>) {
    let nearest = asked.clamp(*IDLE.start(), *IDLE.end());
    if nearest != asked {
        notes.push(format!("{key} = {} became {}", Span(asked), Span(nearest)));
    }
    *ours = Span(nearest);
}

/// Outproxies, and who may use the proxy.
fn take_proxy(found: &Found, tunnel: &mut Tunnel, notes: &mut Vec<String>) {
    let all = found.get("proxyList").unwrap_or_default().split([',', ' ']).filter(|name| !name.is_empty());
    let (good, other): (Vec<_>, Vec<_>) =
        all.partition(|name| name.split(':').next().is_some_and(|host| host.ends_with(".i2p")));
    tunnel.outproxies = good.into_iter().map(str::to_owned).collect();
    notes.extend(other.into_iter().map(|name| format!("{name} is no outproxy within I2P")));
    let auth = found.get("option.proxyAuth").unwrap_or("false").to_ascii_lowercase();
    if auth == "false" {
        return;
    }
    tunnel.auth = if auth == "digest" { "digest" } else { "basic" }.to_owned();
    match (found.get("option.proxyUsername"), found.get("option.proxyPassword")) {
        (Some(name), Some(password)) => tunnel.accounts = vec![format!("{name}:{password}")],
        _ => {
            // Nobody is let in until then.
            tunnel.accounts = vec![format!("nobody:{}", random_word())];
            notes.push("its file has only hashes of passwords: enter the accounts, as \"name:password\"".to_owned());
        }
    }
}

/// A password that nobody knows.
fn random_word() -> String {
    base64::encode(&rand::random::<[u8; 16]>())
}

/// Java's limits, in our words.
fn take_limits(found: &Found, tunnel: &mut Tunnel) {
    let number =
        |key: &str| found.get(&format!("option.i2p.streaming.{key}")).and_then(|text| text.parse().ok()).unwrap_or(0);
    tunnel.max_conns_per_minute = number("maxConnsPerMinute");
    tunnel.max_conns_per_hour = number("maxConnsPerHour");
    tunnel.max_conns_per_day = number("maxConnsPerDay");
    tunnel.max_total_conns_per_minute = number("maxTotalConnsPerMinute");
    tunnel.max_total_conns_per_hour = number("maxTotalConnsPerHour");
    tunnel.max_total_conns_per_day = number("maxTotalConnsPerDay");
    let streams = number("maxConcurrentStreams") as usize;
    if streams > 0 {
        tunnel.max_concurrent_streams = streams.min(4096);
    }
}

/// How many requests that change something are taken. INTEROP: times are in seconds, as is the file's limit of each visitor and of all.
fn take_posts(found: &Found, tunnel: &mut Tunnel, notes: &mut Vec<String>) {
    let number = |key: &str| found.get(&format!("option.{key}")).and_then(|text| text.parse::<u64>().ok());
    let posts = |key| number(key).and_then(|posts| u32::try_from(posts).ok()).unwrap_or(0);
    (tunnel.max_posts, tunnel.max_total_posts) = (posts("maxPosts"), posts("maxTotalPosts"));
    let mut time = |key, ours: &mut Span| {
        if let Some(asked) = number(key) {
            take_time(key, Duration::from_secs(asked), ours, notes);
        }
    };
    time("postCheckTime", &mut tunnel.post_check_time);
    time("postBanTime", &mut tunnel.post_ban_time);
    time("postTotalBanTime", &mut tunnel.post_total_ban_time);
}

fn take_server(found: &Found, folder: &Path, tunnel: &mut Tunnel, notes: &mut Vec<String>) -> Result<(), String> {
    tunnel.target = Endpoint(Some(found.endpoint("targetHost", "targetPort")?));
    found.get("spoofedHost").unwrap_or_default().clone_into(&mut tunnel.host);
    found.get("option.ircserver.webircPassword").unwrap_or_default().clone_into(&mut tunnel.webirc_password);
    tunnel.reject_inproxy = found.is("option.rejectInproxy");
    tunnel.reject_referer = found.is("option.rejectReferer");
    if found.is("option.rejectUserAgents") {
        let all = found.get("option.userAgentRejectList").unwrap_or_default().split(',').map(str::trim);
        tunnel.reject_user_agents = all.filter(|word| !word.is_empty()).map(str::to_owned).collect();
    }
    // INTEROP: what Java does without a word.
    tunnel.unique_local = found.is("option.enableUniqueLocal");
    tunnel.tls = found.is("option.useSSL");
    tunnel.compress = !found.is_off("option.i2ptunnel.gzip");
    if let Some(file) = found.get("filterDefinition") {
        tunnel.filter = folder.join(file).to_string_lossy().into_owned();
    }
    take_limits(found, tunnel);
    take_posts(found, tunnel, notes);
    let list = || callers(found.get("option.i2cp.accessList").unwrap_or_default());
    if found.is("option.i2cp.enableAccessList") {
        tunnel.allow = list();
    } else if found.is("option.i2cp.enableBlackList") {
        tunnel.deny = list();
    }
    Ok(())
}
