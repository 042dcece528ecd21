//! `ramson status`: what the router that runs is, what others think of it, and what it is busy with.
//!
//! The router answers with one value of JSON, in which everything stands; what is printed is that value in words.

use crate::control::{Request, ask};
use crate::output::say;
use crate::samples::Samples;
use crate::{Failure, exporter, log, version};
use ramson_actors::node::Node;
use ramson_protocol::data::router_info::{Caps, RouterInfo};
use serde_json::{Map, Value, json};
use std::fmt::Write;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, UNIX_EPOCH};

/// How often it is asked anew with `--watch`.
const EVERY: Duration = Duration::from_secs(2);

/// Of how many causes the commonest are told.
const CAUSES: usize = 6;

/// Prints it: once, or again and again.
///
/// # Errors
/// If no router runs with that folder.
pub(crate) fn status(data: &Path, as_json: bool, watch: bool) -> Result<(), Failure> {
    let mut before: Option<Value> = None;
    loop {
        let now = ask(data, &Request::Status {})?;
        let text = if as_json { format!("{now}\n") } else { words(&now, before.as_ref()) };
        if !watch {
            return Ok(say(&text)?);
        }
        // Home and clear, so that the picture stands still.
        let frame = if as_json { text } else { format!("\x1b[H\x1b[2J{text}") };
        say(&frame)?;
        before = Some(now);
        sleep(EVERY);
    }
}

/// All of it, as the router knows it.
pub(crate) fn gather(node: &Node) -> Value {
    let samples = Samples::read(&exporter::page(node));
    let info = node.shared().router_info();
    let readiness = node.readiness();
    let (routers, lease_sets) = node.netdb().counts();
    let one = |series| samples.sum(series, &[]);
    json!({
        "version": version::long(),
        "uptime_s": one("ramson_uptime_seconds") as u64,
        "ready": readiness.is_ok(),
        "not_ready_because": readiness.err(),
        "router": about_us(node, &info, &samples),
        "peers": {
            "reachability": reachability(&samples),
            "introducers": one("ramson_ssu2_introducers") as u64,
            "introduced_by_us": one("ramson_ssu2_introduced") as u64,
            "clock_correction_s": one("ramson_clock_correction_seconds"),
            "publishing": samples.by("ramson_netdb_publishes_total", "outcome"),
            "banned_by_us": samples.by("ramson_banned", "kind"),
        },
        "traffic": traffic(&samples),
        "transit": {
            "tunnels": samples.by("ramson_transit_tunnels", "role"),
            "promised_bytes_per_second": one("ramson_transit_promised_bytes_per_second") as u64,
            "requests": samples.by("ramson_build_requests_total", "answer"),
            "refused": samples.by("ramson_build_requests_total", "reason"),
            "dropped": samples.by("ramson_drops_total", "cause"),
        },
        "own_tunnels": {
            "outbound": samples.sum("ramson_own_tunnels", &[("direction", "outbound")]) as u64,
            "inbound": samples.sum("ramson_own_tunnels", &[("direction", "inbound")]) as u64,
            "builds": samples.by("ramson_own_builds_total", "result"),
            "tests": samples.by("ramson_tunnel_tests_total", "result"),
        },
        "netdb": {
            "routers": routers,
            "floodfills": one("ramson_netdb_floodfills") as u64,
            "lease_sets": lease_sets,
            "storage_errors": one("ramson_netdb_storage_errors_total") as u64,
            "reseeding": node.reseeding(),
        },
        "process": {
            "descriptors": one("process_open_fds") as u64,
            "descriptors_limit": one("process_max_fds") as u64,
            "memory_bytes": one("process_resident_memory_bytes") as u64,
            "cpu_s": one("process_cpu_seconds_total"),
        },
        "log": log::recent().iter().map(line).collect::<Vec<_>>(),
    })
}

fn about_us(node: &Node, info: &RouterInfo, samples: &Samples) -> Value {
    let caps = info.caps();
    let published: Vec<_> = info
        .addresses()
        .map(|addr| {
            let transport = String::from_utf8_lossy(addr.style).into_owned();
            json!({ "transport": transport, "address": addr.socket().map(|at| at.to_string()) })
        })
        .collect();
    let age = node.shared().now().wall.since(info.published());
    json!({
        "hash": info.hash().to_base64(),
        "network": info.net_id(),
        "caps": caps.to_string(),
        "caps_mean": meaning(&caps, samples),
        "listens_at": node.transports().local_addrs().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "published_addresses": published,
        "router_info_age_s": age.as_secs(),
    })
}

/// Each letter that we publish, and why.
fn meaning(caps: &Caps, samples: &Samples) -> Vec<String> {
    let mut words = Vec::new();
    if let Some(bandwidth) = caps.bandwidth {
        let transit = samples.sum("ramson_transit_limit_bytes_per_second", &[]);
        words.push(format!("{bandwidth:?}: the class of {} for others", rate(transit)));
    }
    if caps.floodfill {
        words.push("f: we keep and serve a part of the network database".to_owned());
    }
    if caps.reachable {
        words.push("R: we publish an address at which anybody can call us".to_owned());
    }
    if caps.unreachable {
        words.push("U: we publish no address; others introduce callers to us".to_owned());
    }
    if caps.hidden {
        words.push("H: we are hidden".to_owned());
    }
    let level = samples.sum("ramson_congestion_level", &[]);
    if level > 0.0 {
        words.push(format!("{:?}: we are congested", caps.congestion));
    }
    words
}

fn reachability(samples: &Samples) -> Value {
    let verdicts = samples.of("ramson_reachability").iter().filter(|sample| sample.value > 0.0);
    let by_family = verdicts.map(|sample| {
        let of = |label: &str| sample.labels.get(label).cloned().unwrap_or_default();
        (of("family"), Value::from(of("status")))
    });
    Value::Object(by_family.collect::<Map<_, _>>())
}

fn traffic(samples: &Samples) -> Value {
    let sides = ["in", "out"].map(|direction| {
        let of = |series| samples.sum(series, &[("direction", direction)]);
        let sessions =
            |transport| samples.sum("ramson_sessions", &[("direction", direction), ("transport", transport)]);
        json!({
            "limit_bytes_per_second": of("ramson_line_limit_bytes_per_second") as u64,
            "bytes": of("ramson_bytes_total") as u64,
            "ntcp2_sessions": sessions("ntcp2") as u64,
            "ssu2_sessions": sessions("ssu2") as u64,
        })
    });
    let [inbound, outbound] = sides;
    json!({ "in": inbound, "out": outbound })
}

fn line(line: &log::Line) -> Value {
    let at = line.at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    json!({ "unix_time_s": at, "level": line.level, "text": line.text })
}

/// The picture for a person. With an earlier one it says what the line carries.
fn words(now: &Value, before: Option<&Value>) -> String {
    let mut rows = Rows { now, out: String::new() };
    rows.about_us();
    rows.traffic(before);
    rows.tunnels();
    rows.machine();
    rows.out
}

/// Lines of a name and what is to be said of it.
struct Rows<'a> {
    now: &'a Value,
    out: String,
}

impl Rows<'_> {
    fn row(&mut self, name: &str, text: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.out, "{name:<15}{text}");
    }

    fn at(&self, path: &str) -> &Value {
        self.now.pointer(path).unwrap_or(&Value::Null)
    }

    fn text(&self, path: &str) -> String {
        text(self.at(path))
    }

    fn number(&self, path: &str) -> f64 {
        self.at(path).as_f64().unwrap_or_default()
    }

    fn about_us(&mut self) {
        self.row("ramson", &format!("{}, up {}", self.text("/version"), span(self.number("/uptime_s"))));
        let ready = self.at("/ready") == true;
        let ready = if ready { "yes".to_owned() } else { format!("no: {}", self.text("/not_ready_because")) };
        self.row("ready", &ready);
        self.row("router", &self.text("/router/hash"));
        let (caps, network) = (self.text("/router/caps"), self.text("/router/network"));
        let age = span(self.number("/router/router_info_age_s"));
        self.row("published", &format!("{caps} in network {network}, {age} ago"));
        for meaning in list(self.at("/router/caps_mean")).to_vec() {
            self.row("", &text(&meaning));
        }
        let places: Vec<_> = list(self.at("/router/listens_at")).iter().map(text).collect();
        self.row("listens at", &places.join(", "));
        for address in list(self.at("/router/published_addresses")).to_vec() {
            let place = address.get("address").and_then(Value::as_str).unwrap_or("no address: callers are introduced");
            self.row("address", &format!("{} {place}", text(address.get("transport").unwrap_or(&Value::Null))));
        }
        let (reach, clock) = (counts(self.at("/peers/reachability")), self.number("/peers/clock_correction_s"));
        self.row("peers say", &format!("{reach}; our clock is corrected by {clock:.1} s"));
        self.row("banned", &counts(self.at("/peers/banned_by_us")));
    }

    fn traffic(&mut self, before: Option<&Value>) {
        for side in ["in", "out"] {
            let of = |key: &str| self.number(&format!("/traffic/{side}/{key}"));
            let former = before.and_then(|before| before.pointer(&format!("/traffic/{side}/bytes"))?.as_f64());
            let used = former.map_or_else(
                || format!("{} so far", bytes(of("bytes"))),
                |former| rate((of("bytes") - former) / EVERY.as_secs_f64()),
            );
            let most = rate(of("limit_bytes_per_second"));
            let sessions = format!("{} NTCP2 and {} SSU2 sessions", of("ntcp2_sessions"), of("ssu2_sessions"));
            self.row(side, &format!("{used} of {most} at most; {sessions}"));
        }
    }

    fn tunnels(&mut self) {
        let promised = rate(self.number("/transit/promised_bytes_per_second"));
        self.row("transit", &format!("{}; promised {promised}", counts(self.at("/transit/tunnels"))));
        self.row("requests", &counts(self.at("/transit/requests")));
        self.row("refused by", &commonest(self.at("/transit/refused")));
        self.row("dropped by", &commonest(self.at("/transit/dropped")));
        let (out, inbound) = (self.text("/own_tunnels/outbound"), self.text("/own_tunnels/inbound"));
        let builds = counts(self.at("/own_tunnels/builds"));
        self.row("own tunnels", &format!("{out} out, {inbound} in; builds: {builds}"));
    }

    fn machine(&mut self) {
        let [routers, floodfills, lease_sets] =
            ["routers", "floodfills", "lease_sets"].map(|key| self.text(&format!("/netdb/{key}")));
        self.row("netdb", &format!("{routers} routers, {floodfills} of them floodfills, {lease_sets} leasesets"));
        let (open, limit) = (self.text("/process/descriptors"), self.text("/process/descriptors_limit"));
        let memory = bytes(self.number("/process/memory_bytes"));
        self.row("process", &format!("{open} of {limit} descriptors, {memory} of memory"));
        for line in list(self.at("/log")).to_vec() {
            let of = |key: &str| text(line.get(key).unwrap_or(&Value::Null));
            self.row(&of("level"), &of("text"));
        }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Such as `3 accepted, 1 refused`, or of words `ipv4 ok`.
fn counts(value: &Value) -> String {
    let Some(map) = value.as_object().filter(|map| !map.is_empty()) else { return "none".to_owned() };
    let part = |(name, value): (&String, &Value)| match value.as_f64() {
        Some(n) => format!("{n} {name}"),
        None => format!("{name} {}", text(value)),
    };
    map.iter().map(part).collect::<Vec<_>>().join(", ")
}

/// The commonest of many causes.
fn commonest(value: &Value) -> String {
    let mut causes: Vec<_> = value.as_object().into_iter().flatten().collect();
    let of = |value: &Value| value.as_f64().unwrap_or_default();
    causes.sort_by(|(_, a), (_, b)| of(b).total_cmp(&of(a)));
    let most: Map<_, _> = causes.into_iter().take(CAUSES).map(|(name, n)| (name.clone(), n.clone())).collect();
    counts(&Value::Object(most))
}

fn span(seconds: f64) -> String {
    let seconds = seconds as u64;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn rate(bytes_per_second: f64) -> String {
    format!("{}/s", bytes(bytes_per_second))
}

fn bytes(n: f64) -> String {
    let units = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    match units.into_iter().find(|(unit, _)| n >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", n / unit),
        None => format!("{n:.0} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_readable() {
        assert_eq!((bytes(0.0), bytes(999.0), bytes(2_500_000.0)), ("0 B".into(), "999 B".into(), "2.5 MB".into()));
        assert_eq!(rate(1.5e9), "1.5 GB/s");
        assert_eq!(
            (span(5.0), span(600.0), span(7200.0), span(1e6)),
            ("5 s".into(), "10 min".into(), "2 h".into(), "11 days".into())
        );
    }

    #[test]
    fn of_many_causes_the_commonest_are_told() {
        let causes: Map<_, _> = (0..20).map(|n| (format!("c{n:02}"), json!(n))).collect();
        assert_eq!(commonest(&Value::Object(causes)), "14 c14, 15 c15, 16 c16, 17 c17, 18 c18, 19 c19");
        assert_eq!(commonest(&json!({})), "none");
        assert_eq!(counts(&json!({ "ipv4": "ok" })), "ipv4 ok");
    }

    #[test]
    fn an_answer_of_another_version_is_printed_as_far_as_it_goes() {
        let text = words(&json!({ "version": "9", "ready": false, "not_ready_because": "no routers known" }), None);
        assert!(text.contains("no: no routers known"), "{text}");
    }
}
