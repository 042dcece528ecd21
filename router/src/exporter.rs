//! `/metrics` for Prometheus, and `/health/live` and `/health/ready`.
//!
//! The control plane counts through the `metrics` crate as things happen. The data plane counts into structs of its own
//! threads; they are read here, at each scrape, so that the fast path knows nothing of exporters.

use crate::data_dir::descriptors;
use actix_web::{App, HttpResponse, HttpServer, web};
use metrics::{counter, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use ramson_actors::mailbox::Mailbox;
use ramson_actors::node::Node;
use ramson_protocol::i2np::MessageType;
use ramson_protocol::link::reason::Reason;
use ramson_protocol::shape::Class;
use ramson_transports::io::shaper::Line;
use ramson_transports::ssu2::{self, Status};
use ramson_transports::stats::{
    DropCause, Flow, Histogram, IoStats, MESSAGE_TYPES, Role, SSU2_COUNTERS, Transport, WireStats,
};
use std::fmt::Write;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// What the handlers share.
struct State {
    node: Node,
    prometheus: PrometheusHandle,
    started: Instant,
}

/// Installs the recorder of the process. To be called once, before anything counts.
///
/// # Errors
/// If there is one already.
pub fn install() -> io::Result<PrometheusHandle> {
    let buckets = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];
    let builder = PrometheusBuilder::new().set_buckets(&buckets).map_err(io::Error::other)?;
    builder.install_recorder().map_err(io::Error::other)
}

/// Serves until the system ends. The address that is served is returned: a port of 0 picks a free one.
///
/// # Errors
/// If the address cannot be listened on.
pub fn serve(listen: SocketAddr, node: Node, prometheus: PrometheusHandle) -> io::Result<SocketAddr> {
    let state = web::Data::from(Arc::new(State { node, prometheus, started: Instant::now() }));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(state.clone())
            .route("/metrics", web::get().to(scrape))
            .route("/health/live", web::get().to(live))
            .route("/health/ready", web::get().to(ready))
    });
    let server = server.workers(1).disable_signals().shutdown_timeout(1).bind(listen)?;
    let addr = server.addrs().first().copied().unwrap_or(listen);
    actix::spawn(server.run());
    Ok(addr)
}

async fn scrape(state: web::Data<State>) -> HttpResponse {
    let threads: Vec<_> = state.node.transports().stats();
    process(state.started);
    for mailbox in Mailbox::ALL {
        gauge!("ramson_mailbox_depth", "actor" => mailbox.label())
            .set(state.node.shared().mailboxes().depth(mailbox) as f64);
    }
    gauge!("ramson_ready").set(f64::from(u8::from(state.node.readiness().is_ok())));
    data_plane(&threads);
    limits(&threads, state.node.transports().line());
    for (reason, count) in state.node.transports().handshakes() {
        counter!("ramson_handshakes_total", "transport" => "ntcp2", "direction" => reason.direction, "outcome" => reason.outcome)
            .absolute(count);
    }
    if let Some(stats) = state.node.transports().ssu2_stats() {
        ssu2_outside(&stats, &threads);
    }
    let mut text = state.prometheus.render();
    histograms(&threads, &mut text);
    HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(text)
}

/// The process answers: that is all that "alive" means.
async fn live() -> HttpResponse {
    HttpResponse::Ok().body("alive\n")
}

/// The router can do its work: it listens, knows routers, and has tunnels of its own (unless it drains).
async fn ready(state: web::Data<State>) -> HttpResponse {
    match state.node.readiness() {
        Ok(()) => HttpResponse::Ok().body("ready\n"),
        Err(why) => HttpResponse::ServiceUnavailable().body(format!("not ready: {why}\n")),
    }
}

fn process(started: Instant) {
    let cipher = ramson_crypto::tunnel::Kernel::best().name();
    let aead = ramson_crypto::aead::Kernel::best().name();
    gauge!("ramson_build_info", "version" => env!("CARGO_PKG_VERSION"), "cipher" => cipher, "aead" => aead).set(1.0);
    gauge!("ramson_uptime_seconds").set(started.elapsed().as_secs_f64());
    let (open, limit) = descriptors();
    gauge!("process_open_fds").set(open as f64);
    gauge!("process_max_fds").set(limit as f64);
    if let Some(seconds) = processor_seconds() {
        gauge!("process_cpu_seconds_total").set(seconds);
    }
    if let Some(bytes) = resident_bytes() {
        gauge!("process_resident_memory_bytes").set(bytes as f64);
    }
}

/// Resident memory of this process.
pub fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Processor time of all threads of this process so far.
fn processor_seconds() -> Option<f64> {
    /// Linux counts in hundredths for user space, whatever its own clock does.
    const TICKS_PER_SECOND: f64 = 100.0;
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may hold anything; user and system time are the 12th and 13th field behind it.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / TICKS_PER_SECOND)
}

fn data_plane(threads: &[Arc<IoStats>]) {
    let sum = |f: &dyn Fn(&IoStats) -> u64| threads.iter().map(|t| f(t)).sum::<u64>();
    for transport in Transport::ALL {
        wire(transport, threads);
    }
    for role in Role::ALL {
        counter!("ramson_cells_total", "role" => role.label()).absolute(sum(&|t| t.cells[*role as usize].get()));
    }
    for cause in DropCause::ALL {
        counter!("ramson_drops_total", "cause" => cause.label()).absolute(sum(&|t| t.drops[*cause as usize].get()));
    }
    for (index, thread) in threads.iter().enumerate() {
        let name = index.to_string();
        counter!("ramson_loop_turns_total", "thread" => name.clone()).absolute(thread.turns.get());
        counter!("ramson_loop_busy_nanoseconds_total", "thread" => name.clone()).absolute(thread.busy_ns.get());
        gauge!("ramson_loop_inbox_depth", "thread" => name.clone()).set(thread.inbox_depth.get() as f64);
        gauge!("ramson_loop_queued_bytes", "thread" => name).set(thread.queued_bytes.get() as f64);
    }
    // Every thread has every hop in its table.
    let hops = threads.first().map_or(0, |t| t.hops.get());
    gauge!("ramson_hops").set(hops as f64);
    // Each thread has a filter of its own; the worst counts.
    let worst = threads.iter().map(|t| t.iv_false_positives_ppb.get()).max().unwrap_or(0);
    gauge!("ramson_iv_filter_false_positive_ratio").set(worst as f64 * 1e-9);
    gauge!("ramson_iv_filter_bytes").set(sum(&|t| t.iv_filter_bytes.get()) as f64);
    counter!("ramson_iv_filter_forgotten_early_total").absolute(sum(&|t| t.iv_forgotten_early.get()));
}

/// What SSU2 counts outside of sessions and in them.
fn ssu2_outside(stats: &ssu2::Stats, threads: &[Arc<IoStats>]) {
    for (service, tally) in [("peer_test", &stats.tests), ("introduction", &stats.introductions)] {
        for (role, event, count) in tally.iter() {
            let labels = [("service", service), ("role", role), ("event", event)];
            counter!("ramson_ssu2_services_total", &labels).absolute(count);
        }
    }
    for (family, verdict) in ["ipv4", "ipv6"].into_iter().zip(stats.reachability) {
        for status in [Status::Unknown, Status::Ok, Status::Firewalled, Status::SymmetricNat] {
            let labels = [("family", family), ("status", status.label())];
            gauge!("ramson_reachability", &labels).set(f64::from(u8::from(status == verdict)));
        }
    }
    gauge!("ramson_ssu2_introducers").set(stats.introducers as f64);
    gauge!("ramson_ssu2_introduced").set(stats.tags as f64);
    let stats = &stats.endpoint;
    for (at, event) in SSU2_COUNTERS.iter().enumerate() {
        let count = threads.iter().map(|t| t.ssu2[at].get()).sum();
        counter!("ramson_ssu2_session_events_total", "event" => *event).absolute(count);
    }
    // The mean of the threads' means, of those that have sessions.
    let means: Vec<u64> = threads.iter().map(|t| t.ssu2_rtt_us.get()).filter(|us| *us > 0).collect();
    gauge!("ramson_ssu2_rtt_seconds").set(means.iter().sum::<u64>() as f64 / means.len().max(1) as f64 / 1e6);
    for (direction, outcome, count) in stats.outcomes() {
        let labels = [("transport", "ssu2"), ("direction", direction), ("outcome", outcome)];
        counter!("ramson_handshakes_total", &labels).absolute(count);
    }
    for (cause, count) in stats.drops() {
        counter!("ramson_ssu2_strangers_dropped_total", "cause" => cause).absolute(count);
    }
    for (direction, at) in [("in", 0), ("out", 1)] {
        counter!("ramson_ssu2_retries_total", "direction" => direction).absolute(stats.retries[at]);
        counter!("ramson_ssu2_handshake_resends_total", "direction" => direction).absolute(stats.resent[at]);
        gauge!("ramson_ssu2_handshakes_pending", "direction" => direction).set(stats.pending[at] as f64);
    }
}

/// What one transport has carried.
fn wire(transport: Transport, threads: &[Arc<IoStats>]) {
    type Side = fn(&WireStats) -> &Flow;
    let sum = |f: &dyn Fn(&WireStats) -> u64| threads.iter().map(|t| f(t.wire(transport))).sum::<u64>();
    let name = transport.label();
    let sides: [(_, Side, _); 2] =
        [("in", |w| &w.received, sum(&|w| w.sessions_in.get())), ("out", |w| &w.sent, sum(&|w| w.sessions_out.get()))];
    for (direction, side, open) in sides {
        let labels = [("transport", name), ("direction", direction)];
        gauge!("ramson_sessions", &labels).set(open as f64);
        counter!("ramson_bytes_total", &labels).absolute(sum(&|w| side(w).bytes.get()));
        counter!("ramson_frames_total", &labels).absolute(sum(&|w| side(w).frames.get()));
        for kind in 0..MESSAGE_TYPES {
            let count = sum(&|w| side(w).messages[kind].get());
            if count > 0 {
                let labels = [("transport", name), ("direction", direction), ("type", message_name(kind))];
                counter!("ramson_messages_total", &labels).absolute(count);
                counter!("ramson_message_bytes_total", &labels).absolute(sum(&|w| side(w).message_bytes[kind].get()));
            }
        }
    }
    for code in 0..24_u8 {
        let count = sum(&|w| w.closed[usize::from(code)].get());
        if count > 0 {
            let labels = [("transport", name), ("reason", Reason(code).label(transport))];
            counter!("ramson_sessions_closed_total", &labels).absolute(count);
        }
    }
}

/// The limits: what they are, who uses the line, and what waits for it. The drops are among those of the data plane.
fn limits(threads: &[Arc<IoStats>], line: &Line) {
    for (direction, bank) in [("in", &line.inbound), ("out", &line.outbound)] {
        gauge!("ramson_line_limit_bytes", "direction" => direction).set(bank.rate() as f64);
        gauge!("ramson_line_free_bytes", "direction" => direction).set(bank.level() as f64);
    }
    let sum = |f: &dyn Fn(&IoStats) -> u64| threads.iter().map(|t| f(t)).sum::<u64>();
    for class in Class::ALL {
        counter!("ramson_class_bytes_total", "class" => class.label())
            .absolute(sum(&|t| t.bytes_by_class[class as usize].get()));
    }
    gauge!("ramson_waiting_cells").set(sum(&|t| t.waiting_cells.get()) as f64);
    gauge!("ramson_waiting_tunnels").set(sum(&|t| t.waiting_tunnels.get()) as f64);
}

fn message_name(kind: usize) -> &'static str {
    match MessageType::from_code(u8::try_from(kind).unwrap_or(u8::MAX)) {
        MessageType::DatabaseStore => "database_store",
        MessageType::DatabaseLookup => "database_lookup",
        MessageType::DatabaseSearchReply => "database_search_reply",
        MessageType::DeliveryStatus => "delivery_status",
        MessageType::Garlic => "garlic",
        MessageType::TunnelData => "tunnel_data",
        MessageType::TunnelGateway => "tunnel_gateway",
        MessageType::Data => "data",
        MessageType::TunnelBuild => "tunnel_build",
        MessageType::TunnelBuildReply => "tunnel_build_reply",
        MessageType::VariableTunnelBuild => "variable_tunnel_build",
        MessageType::VariableTunnelBuildReply => "variable_tunnel_build_reply",
        MessageType::ShortTunnelBuild => "short_tunnel_build",
        MessageType::OutboundTunnelBuildReply => "outbound_tunnel_build_reply",
        MessageType::Unknown(_) => "unknown",
    }
}

/// The `metrics` crate has no histogram that was counted elsewhere, so these are written out here.
fn histograms(threads: &[Arc<IoStats>], out: &mut String) {
    write_histogram(out, "ramson_cells_per_read", threads, |t| &t.cells_per_read);
    write_histogram(out, "ramson_cells_per_write", threads, |t| &t.cells_per_write);
    write_histogram(out, "ramson_cipher_lanes", threads, |t| &t.lanes);
    write_histogram(out, "ramson_loop_turn_microseconds", threads, |t| &t.turn_us);
}

fn write_histogram(out: &mut String, name: &str, threads: &[Arc<IoStats>], of: impl Fn(&IoStats) -> &Histogram) {
    let mut total = 0;
    // Writing to a string cannot fail.
    let _ = writeln!(out, "# TYPE {name} histogram");
    let buckets = threads.first().map_or(0, |t| of(t).buckets.len());
    for bucket in 0..buckets {
        total += threads.iter().map(|t| of(t).buckets[bucket].get()).sum::<u64>();
        if bucket + 1 < buckets {
            let _ = writeln!(out, "{name}_bucket{{le=\"{}\"}} {total}", (1_u64 << bucket) - 1);
        }
    }
    let sum: u64 = threads.iter().map(|t| of(t).sum.get()).sum();
    let _ = writeln!(out, "{name}_bucket{{le=\"+Inf\"}} {total}\n{name}_sum {sum}\n{name}_count {total}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_is_cumulative_and_sums_over_threads() {
        let threads = [Arc::new(IoStats::default()), Arc::new(IoStats::default())];
        for (thread, value) in [(0, 1), (0, 16), (1, 16), (1, 100_000)] {
            threads[thread].lanes.record(value);
        }
        let mut text = String::new();
        write_histogram(&mut text, "x", &threads, |t| &t.lanes);
        assert!(text.contains("x_bucket{le=\"1\"} 1\n"), "{text}");
        assert!(text.contains("x_bucket{le=\"15\"} 1\n"), "{text}");
        assert!(text.contains("x_bucket{le=\"31\"} 3\n"), "{text}");
        assert!(text.contains("x_bucket{le=\"+Inf\"} 4\n") && text.contains("x_sum 100033\n"), "{text}");
    }
}
