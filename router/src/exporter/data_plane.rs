//! What the threads of the data plane and the client plane have counted, summed up.

use super::page::Page;
use super::table;
use ramson_clients::Clients;
use ramson_clients::stats::{ClientStats, SIZES};
use ramson_protocol::i2np::MessageType;
use ramson_protocol::link::reason::Reason;
use ramson_protocol::shape::Class;
use ramson_transports::Transports;
use ramson_transports::io::shaper::Line;
use ramson_transports::ssu2::{self, Status};
use ramson_transports::stats::{
    DropCause, Flow, IoStats, MESSAGE_TYPES, REASSEMBLY, Role, SSU2_COUNTERS, Transport, WireStats,
};
use std::sync::Arc;

/// All of it.
pub(super) fn put(page: &mut Page, transports: &Transports, clients: &Clients) {
    let threads = transports.stats();
    for transport in Transport::ALL {
        wire(page, transport, &threads);
    }
    tunnels(page, &threads, clients.stats());
    loops(page, &threads, clients.stats());
    limits(page, &threads, transports.line());
    for (reason, count) in transports.handshakes() {
        page.put(&table::HANDSHAKES.0, ["ntcp2", reason.direction, reason.outcome], count as f64);
    }
    if let Some(stats) = transports.ssu2_stats() {
        ssu2_outside(page, &stats, &threads);
    }
}

fn tunnels(page: &mut Page, threads: &[Arc<IoStats>], clients: &[Arc<ClientStats>]) {
    let sum = |f: &dyn Fn(&IoStats) -> u64| threads.iter().map(|t| f(t)).sum::<u64>() as f64;
    for role in Role::ALL {
        page.put(&table::CELLS.0, [role.label()], sum(&|t| t.cells[*role as usize].get()));
    }
    for cause in DropCause::ALL {
        let ours: u64 = clients.iter().map(|client| client.dropped(*cause)).sum();
        page.put(&table::DROPS.0, [cause.label()], ours as f64 + sum(&|t| t.drops[*cause as usize].get()));
    }
    for (at, event) in REASSEMBLY.iter().enumerate() {
        let ours: u64 = clients.iter().map(|client| client.reassembly[at].get()).sum();
        page.put(&table::REASSEMBLY.0, [event], ours as f64 + sum(&|t| t.reassembly[at].get()));
    }
    for client in clients {
        for ((part, event), count) in client.destinations.lock().iter() {
            page.put(&table::DESTINATIONS.0, [part, event], *count as f64);
        }
        for (what, size) in SIZES.iter().zip(&client.sizes) {
            page.put(&table::DESTINATION_SIZES.0, [what], size.get() as f64);
        }
    }
    // Every thread has every hop in its table.
    page.put(&table::HOPS.0, [], threads.first().map_or(0, |t| t.hops.get()) as f64);
    // Each thread has a filter of its own; the worst counts.
    let worst = threads.iter().map(|t| t.iv_false_positives_ppb.get()).max().unwrap_or(0);
    page.put(&table::IV_FALSE_POSITIVES.0, [], worst as f64 / 1e9);
    page.put(&table::IV_BYTES.0, [], sum(&|t| t.iv_filter_bytes.get()));
    page.put(&table::IV_FORGOTTEN.0, [], sum(&|t| t.iv_forgotten_early.get()));
}

fn loops(page: &mut Page, threads: &[Arc<IoStats>], clients: &[Arc<ClientStats>]) {
    for (index, thread) in threads.iter().enumerate() {
        let name = index.to_string();
        page.put(&table::TURNS.0, [&name], thread.turns.get() as f64);
        page.put(&table::BUSY.0, [&name], thread.busy_ns.get() as f64 / 1e9);
        page.put(&table::INBOX.0, [&name], thread.inbox_depth.get() as f64);
        page.put(&table::NEWS_WAITING.0, [&name], thread.news_waiting.get() as f64);
        page.put(&table::QUEUED.0, [&name], thread.queued_bytes.get() as f64);
    }
    let sum = |f: &dyn Fn(&IoStats) -> u64| threads.iter().map(|t| f(t)).sum::<u64>() as f64;
    page.put(&table::HELD.0, ["sessions"], sum(&|t| t.held_bytes.get()));
    page.put(&table::HELD.0, ["waiting"], sum(&|t| t.waiting_bytes.get()));
    page.put(&table::HELD.0, ["reassembly"], sum(&|t| t.reassembling_bytes.get()));
    for (index, thread) in clients.iter().enumerate() {
        let name = format!("client-{index}");
        page.put(&table::TURNS.0, [&name], thread.turns.get() as f64);
        page.put(&table::BUSY.0, [&name], thread.busy_ns.get() as f64 / 1e9);
        page.put(&table::INBOX.0, [&name], thread.inbox_depth.get() as f64);
    }
    page.histogram(&table::TURN, threads, 1e6, |t| &t.turn_us);
    page.histogram(&table::CELLS_PER_READ, threads, 1.0, |t| &t.cells_per_read);
    page.histogram(&table::CELLS_PER_WRITE, threads, 1.0, |t| &t.cells_per_write);
    page.histogram(&table::LANES, threads, 1.0, |t| &t.lanes);
}

/// What SSU2 counts outside of sessions and in them.
fn ssu2_outside(page: &mut Page, stats: &ssu2::Stats, threads: &[Arc<IoStats>]) {
    for (service, tally) in [("peer_test", &stats.tests), ("introduction", &stats.introductions)] {
        for (role, event, count) in tally.iter() {
            page.put(&table::SSU2_SERVICES.0, [service, role, event], count as f64);
        }
    }
    for (family, verdict) in ["ipv4", "ipv6"].into_iter().zip(stats.reachability) {
        for status in [Status::Unknown, Status::Ok, Status::Firewalled, Status::SymmetricNat] {
            page.put(&table::REACHABILITY.0, [family, status.label()], f64::from(u8::from(status == verdict)));
        }
    }
    page.put(&table::INTRODUCERS.0, [], stats.introducers as f64);
    page.put(&table::INTRODUCED.0, [], stats.tags as f64);
    let stats = &stats.endpoint;
    for (at, event) in SSU2_COUNTERS.iter().enumerate() {
        let count: u64 = threads.iter().map(|t| t.ssu2[at].get()).sum();
        page.put(&table::SSU2_EVENTS.0, [event], count as f64);
    }
    // The mean of the threads' means, of those that have sessions.
    let means: Vec<u64> = threads.iter().map(|t| t.ssu2_rtt_us.get()).filter(|us| *us > 0).collect();
    page.put(&table::SSU2_RTT.0, [], means.iter().sum::<u64>() as f64 / means.len().max(1) as f64 / 1e6);
    for (direction, outcome, count) in stats.outcomes() {
        page.put(&table::HANDSHAKES.0, ["ssu2", direction, outcome], count as f64);
    }
    for (cause, count) in stats.drops() {
        page.put(&table::SSU2_STRANGERS.0, [cause], count as f64);
    }
    for (direction, at) in [("in", 0), ("out", 1)] {
        page.put(&table::SSU2_RETRIES.0, [direction], stats.retries[at] as f64);
        page.put(&table::SSU2_RESENDS.0, [direction], stats.resent[at] as f64);
        page.put(&table::SSU2_PENDING.0, [direction], stats.pending[at] as f64);
    }
}

/// What one transport has carried.
fn wire(page: &mut Page, transport: Transport, threads: &[Arc<IoStats>]) {
    type Side = fn(&WireStats) -> &Flow;
    let sum = |f: &dyn Fn(&WireStats) -> u64| threads.iter().map(|t| f(t.wire(transport))).sum::<u64>();
    let name = transport.label();
    let sides: [(_, Side, _); 2] =
        [("in", |w| &w.received, sum(&|w| w.sessions_in.get())), ("out", |w| &w.sent, sum(&|w| w.sessions_out.get()))];
    for (direction, side, open) in sides {
        let labels = [name, direction];
        page.put(&table::SESSIONS.0, labels, open as f64);
        page.put(&table::BYTES.0, labels, sum(&|w| side(w).bytes.get()) as f64);
        page.put(&table::FRAMES.0, labels, sum(&|w| side(w).frames.get()) as f64);
        for kind in 0..MESSAGE_TYPES {
            let count = sum(&|w| side(w).messages[kind].get());
            if count > 0 {
                let labels = [name, direction, message_name(kind)];
                page.put(&table::MESSAGES.0, labels, count as f64);
                page.put(&table::MESSAGE_BYTES.0, labels, sum(&|w| side(w).message_bytes[kind].get()) as f64);
            }
        }
    }
    for code in 0..24_u8 {
        let count = sum(&|w| w.closed[usize::from(code)].get());
        if count > 0 {
            page.put(&table::CLOSED.0, [name, Reason(code).label(transport)], count as f64);
        }
    }
}

/// The limits: what they are, who uses the line, and what waits for it. The drops are among those of the data plane.
fn limits(page: &mut Page, threads: &[Arc<IoStats>], line: &Line) {
    for (direction, bank) in [("in", &line.inbound), ("out", &line.outbound)] {
        page.put(&table::LINE_LIMIT.0, [direction], bank.rate() as f64);
        page.put(&table::LINE_FREE.0, [direction], bank.level() as f64);
    }
    let sum = |f: &dyn Fn(&IoStats) -> u64| threads.iter().map(|t| f(t)).sum::<u64>();
    for class in Class::ALL {
        page.put(&table::CLASS_BYTES.0, [class.label()], sum(&|t| t.bytes_by_class[class as usize].get()) as f64);
    }
    page.put(&table::WAITING_CELLS.0, [], sum(&|t| t.waiting_cells.get()) as f64);
    page.put(&table::WAITING_TUNNELS.0, [], sum(&|t| t.waiting_tunnels.get()) as f64);
}

fn message_name(kind: usize) -> &'static str {
    MessageType::from_code(u8::try_from(kind).unwrap_or(u8::MAX)).label()
}
