//! Much traffic through the router under test, and a check of every cell of it.
//!
//! ```text
//! peer i --cells--> router under test --cells--> peer j        participant, inbound gateway
//! peer i --cells--> router under test --messages--> peer j     outbound endpoint
//! ```
//! Each [`worker`] thread has its own peers, and tunnels between them. It makes the cells, takes the router's layer off
//! what comes back, and compares it with what it sent: number, order and every byte.

mod latency;
mod process;
mod session;
mod tunnel;
mod worker;

use crate::peer::{Outcome, Target};
use latency::Latencies;
use process::Usage;
use ramson_protocol::tunnel::Role;
use std::str::FromStr;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};
use worker::Worker;

/// Bytes of a cell's body: what rates are reckoned in.
const CELL: u64 = 1024;

/// What to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// Simulated peers in all.
    pub peers: usize,
    /// Tunnels in all.
    pub tunnels: usize,
    /// What the router is in them.
    pub roles: Roles,
    /// Addresses that the peers have, from the target's `source` on.
    pub sources: u8,
    /// Build requests of one thread that may be without an answer.
    pub builds: usize,
    /// Time between two build requests of one thread.
    pub build_pause: Duration,
    /// How much to send.
    pub rate: Rate,
    /// Cells one after the other in one tunnel.
    pub burst: u32,
    /// How long to send, or to be idle.
    pub duration: Duration,
    /// How long to send beforehand, without counting.
    pub warm_up: Duration,
    /// Threads.
    pub threads: usize,
    /// The router's process.
    pub pid: Option<u32>,
    /// Send nothing.
    pub idle: bool,
}

/// What the router is in the tunnels.
#[derive(Clone, Debug)]
pub struct Roles(Vec<Role>);

impl FromStr for Roles {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Role::Participant, Role::OutboundEndpoint, Role::InboundGateway];
        match text {
            "participant" => Ok(Self(vec![all[0]])),
            "obep" => Ok(Self(vec![all[1]])),
            "ibgw" => Ok(Self(vec![all[2]])),
            "ends" => Ok(Self(all[1..].to_vec())),
            "mixed" => Ok(Self(all.to_vec())),
            _ => Err("write participant, obep, ibgw, ends or mixed".to_owned()),
        }
    }
}

/// How much to send.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// Cells per second.
    Cells(f64),
    /// As much as comes back: a window of cells under way for each receiver.
    Max,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let number = text.strip_suffix("MB/s").unwrap_or(text).trim().parse::<f64>();
        match number {
            Ok(mb) if mb > 0.0 => Ok(Self::Cells(mb * 1e6 / CELL as f64)),
            _ => Err("write a number of MB/s such as 10, or max".to_owned()),
        }
    }
}

/// What a worker counted.
#[derive(Debug, Default)]
struct Totals {
    accepted: u64,
    refused: u64,
    unanswered: u64,
    sent: u64,
    received: u64,
    /// Frames that brought cells.
    frames: u64,
    reordered: u64,
    wrong: u64,
    closed: u64,
    latencies: Latencies,
}

impl Totals {
    /// Forgets the traffic, but nothing that went wrong.
    fn restart(&mut self) {
        let Self { accepted, refused, unanswered, wrong, closed, .. } = *self;
        *self = Self { accepted, refused, unanswered, wrong, closed, ..Self::default() };
    }

    fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.unanswered += other.unanswered;
        self.sent += other.sent;
        self.received += other.received;
        self.frames += other.frames;
        self.reordered += other.reordered;
        self.wrong += other.wrong;
        self.closed += other.closed;
        self.latencies.add(&other.latencies);
    }
}

/// Runs the load and tells `print` what came of it, one line at a time.
///
/// # Errors
/// If no tunnel could be had, a session ended, or a cell came back wrong.
pub fn run(target: &Target, options: Options, print: &mut dyn FnMut(String)) -> Outcome<()> {
    let threads = options.threads.max(1);
    if options.peers < 2 * threads {
        return Err("two peers for each thread are the least: the next hop must not be the previous one".into());
    }
    let (options, gate) = (Arc::new(options), Arc::new(Barrier::new(threads + 1)));
    let before = options.pid.map(process::usage).transpose()?;
    let began = Instant::now();
    let workers: Vec<_> = (0..threads)
        .map(|index| {
            let (target, options, gate) = (target.clone(), Arc::clone(&options), Arc::clone(&gate));
            std::thread::spawn(move || work(index, target, &options, &gate))
        })
        .collect();
    gate.wait();
    let setup = began.elapsed();
    let start = options.pid.map(process::usage).transpose()?;
    gate.wait();
    let took = began.elapsed() - setup;
    let end = options.pid.map(process::usage).transpose()?;
    let mut totals = Totals::default();
    for worker in workers {
        totals.add(&worker.join().map_err(|_| "a thread of the tool has failed")??);
    }
    let (accepted, refused, unanswered) = (totals.accepted, totals.refused, totals.unanswered);
    print(format!(
        "setup sessions={} tunnels={accepted} refused={refused} unanswered={unanswered} seconds={:.1}",
        options.peers,
        setup.as_secs_f64()
    ));
    if !options.idle {
        tell_traffic(&totals, took, print);
    }
    if let (Some(before), Some(start), Some(end)) = (before, start, end) {
        tell_process(&options, &totals, (before, start, end), took, print);
    }
    match &totals {
        Totals { accepted: 0, .. } => Err("no tunnel could be built".into()),
        Totals { wrong: 1.., .. } => Err(format!("{} cells came back wrong", totals.wrong).into()),
        Totals { closed: 1.., .. } => Err(format!("the router ended {} sessions", totals.closed).into()),
        Totals { received: 0, .. } if !options.idle => Err("no cell came back".into()),
        _ => Ok(()),
    }
}

fn work(index: usize, target: Target, options: &Options, gate: &Barrier) -> Outcome<Totals> {
    let worker = Worker::new(index, target, options).and_then(|mut worker| {
        worker.build_all()?;
        worker.warm_up(options.warm_up)?;
        Ok(worker)
    });
    gate.wait();
    let worker = worker.and_then(|mut worker| {
        if options.idle {
            worker.hold(options.duration)?
        } else {
            worker.send_for(options.duration)?
        }
        Ok(worker)
    });
    gate.wait();
    let mut worker = worker?;
    worker.collect()?;
    Ok(worker.into_totals())
}

fn tell_traffic(totals: &Totals, took: Duration, print: &mut dyn FnMut(String)) {
    let seconds = took.as_secs_f64();
    let cells = totals.received as f64 / seconds;
    let lost = totals.sent.saturating_sub(totals.received);
    let percent = 100.0 * lost as f64 / totals.sent.max(1) as f64;
    print(format!("rate cells_per_s={cells:.0} mb_per_s={:.1} seconds={seconds:.1}", cells * CELL as f64 / 1e6));
    print(format!(
        "cells sent={} received={} lost={lost} lost_percent={percent:.3} reordered={} wrong={} per_frame={:.1}",
        totals.sent,
        totals.received,
        totals.reordered,
        totals.wrong,
        totals.received as f64 / totals.frames.max(1) as f64
    ));
    let ms = |share: f64| totals.latencies.at(share).as_secs_f64() * 1e3;
    print(format!(
        "latency_ms p50={:.2} p90={:.2} p99={:.2} p999={:.2} max={:.2}",
        ms(0.5),
        ms(0.9),
        ms(0.99),
        ms(0.999),
        ms(1.0)
    ));
}

fn tell_process(
    options: &Options,
    totals: &Totals,
    (before, start, end): (Usage, Usage, Usage),
    took: Duration,
    print: &mut dyn FnMut(String),
) {
    let mb = |bytes: u64| bytes as f64 / 1e6;
    let (cpu, setup) = (end.cpu.saturating_sub(start.cpu), start.cpu.saturating_sub(before.cpu));
    let share = 100.0 * cpu.as_secs_f64() / took.as_secs_f64();
    let mut line = format!("target cpu_s={:.2} cpu_percent={share:.0}", cpu.as_secs_f64());
    if !options.idle {
        let gb = (totals.received * CELL) as f64 / 1e9;
        line += &format!(" cpu_s_per_gb={:.2}", cpu.as_secs_f64() / gb.max(1e-9));
    }
    line += &format!(
        " setup_cpu_s={:.2} rss_before_mb={:.1} rss_mb={:.1} rss_peak_mb={:.1}",
        setup.as_secs_f64(),
        mb(before.resident),
        mb(end.resident),
        mb(end.peak)
    );
    print(line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_in_megabytes_of_cells() {
        assert_eq!("max".parse(), Ok(Rate::Max));
        assert_eq!("1.024".parse(), Ok(Rate::Cells(1000.0)));
        assert_eq!("1.024MB/s".parse(), Ok(Rate::Cells(1000.0)));
        assert!("-1".parse::<Rate>().is_err());
        assert!("fast".parse::<Rate>().is_err());
    }
}
