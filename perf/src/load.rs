//! Much traffic through the router under test, and a check of every cell of it.
//!
//! ```text
//! peer i --cells--> router under test --cells--> peer j        participant, inbound gateway
//! peer i --cells--> router under test --messages--> peer j     outbound endpoint
//! ```
//! Each [`worker`] thread has its own peers, and tunnels between them. It makes the cells, takes the router's layer off
//! what comes back, and compares it with what it sent: number, order and every byte.

mod control;
mod fairness;
mod latency;
mod pool;
mod probe;
mod session;
mod tunnel;
mod worker;

use crate::peer::{Outcome, Target};
use crate::process::{self, Usage};
use control::{Answers, Asker};
use latency::Latencies;
use probe::{Asked, Probe};
use ramson_protocol::tunnel::Role;
pub use session::Transport;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
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
    /// What the peers speak.
    pub transport: Transport,
    /// Whether the kernel may cut what the peers send into datagrams of SSU2.
    pub offload: bool,
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
    /// Threads never sleep, so that no router pays for waking them.
    pub spin: bool,
    /// Send nothing.
    pub idle: bool,
    /// Of the tunnels: so many send only a little.
    pub small: usize,
    /// Ask for tunnels and routers meanwhile.
    pub probe: bool,
    /// What the load is made of.
    pub kind: Kind,
}

/// What the load is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Cells in tunnels.
    Traffic,
    /// Tunnel builds.
    Builds,
    /// Stores and lookups of the network database.
    NetDb,
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "traffic" => Ok(Self::Traffic),
            "builds" => Ok(Self::Builds),
            "netdb" => Ok(Self::NetDb),
            _ => Err("write traffic, builds or netdb".to_owned()),
        }
    }
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
    /// Held back, since the sender's socket took no more.
    held: u64,
    received: u64,
    /// Of these, while it was sent.
    in_time: u64,
    /// Frames that brought cells, or what the kernel had joined of datagrams.
    frames: u64,
    reordered: u64,
    wrong: u64,
    closed: u64,
    latencies: Latencies,
    /// Sent and received of each tunnel, of those that send little and of the others.
    small: Vec<(u64, u64)>,
    large: Vec<(u64, u64)>,
    answers: Answers,
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
        self.held += other.held;
        self.small.extend(&other.small);
        self.large.extend(&other.large);
        self.answers.add(&other.answers);
        self.received += other.received;
        self.in_time += other.in_time;
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
    let over = Arc::new(AtomicBool::new(false));
    let probe = options.probe.then(|| {
        let (target, over) = (target.clone(), Arc::clone(&over));
        std::thread::spawn(move || Probe::new(target)?.run(&over))
    });
    let setup = began.elapsed();
    let start = options.pid.map(process::usage).transpose()?;
    gate.wait();
    over.store(true, Relaxed);
    let took = began.elapsed() - setup;
    let end = options.pid.map(process::usage).transpose()?;
    let mut totals = Totals::default();
    for worker in workers {
        totals.add(&worker.join().map_err(|_| "a thread of the tool has failed")??);
    }
    let probed = probe.map(|probe| probe.join().map_err(|_| "a thread of the tool has failed")?).transpose()?;
    let (accepted, refused, unanswered) = (totals.accepted, totals.refused, totals.unanswered);
    print(format!(
        "setup sessions={} tunnels={accepted} refused={refused} unanswered={unanswered} seconds={:.1}",
        options.peers,
        setup.as_secs_f64()
    ));
    if options.kind != Kind::Traffic {
        tell_control(options.kind, &totals.answers, took, print);
    } else if !options.idle {
        tell_traffic(&totals, took, print);
        print(fairness::tell(&totals.large, &totals.small));
    }
    if let Some(probed) = probed {
        tell_probe("builds", &probed.builds, print);
        tell_probe("lookups", &probed.lookups, print);
    }
    if let (Some(before), Some(start), Some(end)) = (before, start, end) {
        tell_process(&options, &totals, (before, start, end), took, print);
    }
    match &totals {
        Totals { answers, .. } if options.kind != Kind::Traffic => {
            if answers.answered() > 0 {
                Ok(())
            } else {
                Err("nothing was answered".into())
            }
        }
        Totals { accepted: 0, .. } => Err("no tunnel could be built".into()),
        Totals { wrong: 1.., .. } => Err(format!("{} cells came back wrong", totals.wrong).into()),
        Totals { closed: 1.., .. } => Err(format!("the router ended {} sessions", totals.closed).into()),
        Totals { received: 0, .. } if !options.idle => Err("no cell came back".into()),
        _ => Ok(()),
    }
}

fn work(index: usize, target: Target, options: &Options, gate: &Barrier) -> Outcome<Totals> {
    if options.kind != Kind::Traffic {
        return ask(index, target, options, gate);
    }
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

/// The same for a load of questions.
fn ask(index: usize, target: Target, options: &Options, gate: &Barrier) -> Outcome<Totals> {
    let asker = Asker::new(index, target, options);
    gate.wait();
    let asked = asker.and_then(|mut asker| {
        asker.ask_for(options.duration)?;
        Ok(asker.answers)
    });
    gate.wait();
    Ok(Totals { answers: asked?, ..Totals::default() })
}

fn tell_control(kind: Kind, answers: &Answers, took: Duration, print: &mut dyn FnMut(String)) {
    let per_second = |n: u64| n as f64 / took.as_secs_f64();
    let (asked, unanswered) = (answers.asked, answers.unanswered);
    let rate = per_second(answers.answered());
    let parts = match kind {
        Kind::Builds => format!(
            "accepted_per_s={:.0} refused_per_s={:.0}",
            per_second(answers.accepted),
            per_second(answers.refused)
        ),
        Kind::NetDb | Kind::Traffic => {
            format!("stores_per_s={:.0} lookups_per_s={:.0}", per_second(answers.confirmed), per_second(answers.found))
        }
    };
    print(format!("control asked={asked} answered_per_s={rate:.0} {parts} unanswered={unanswered}"));
    print(format!("latency_ms {}", percentiles(&answers.latencies)));
}

fn tell_probe(what: &str, asked: &Asked, print: &mut dyn FnMut(String)) {
    let ms = |share: f64| asked.latencies.at(share).as_secs_f64() * 1e3;
    print(format!(
        "probe {what}_asked={} {what}_answered={} {what}_p50={:.2} {what}_p99={:.2} {what}_max={:.2}",
        asked.asked,
        asked.answered,
        ms(0.5),
        ms(0.99),
        ms(1.0)
    ));
}

fn percentiles(latencies: &Latencies) -> String {
    let ms = |share: f64| latencies.at(share).as_secs_f64() * 1e3;
    format!("p50={:.2} p90={:.2} p99={:.2} p999={:.2} max={:.2}", ms(0.5), ms(0.9), ms(0.99), ms(0.999), ms(1.0))
}

fn tell_traffic(totals: &Totals, took: Duration, print: &mut dyn FnMut(String)) {
    let seconds = took.as_secs_f64();
    let cells = totals.in_time as f64 / seconds;
    let lost = totals.sent.saturating_sub(totals.received);
    let percent = 100.0 * lost as f64 / totals.sent.max(1) as f64;
    print(format!("rate cells_per_s={cells:.0} mb_per_s={:.1} seconds={seconds:.1}", cells * CELL as f64 / 1e6));
    print(format!(
        "cells sent={} received={} lost={lost} lost_percent={percent:.3} held={} reordered={} wrong={} per_frame={:.1}",
        totals.sent,
        totals.received,
        totals.held,
        totals.reordered,
        totals.wrong,
        totals.received as f64 / totals.frames.max(1) as f64
    ));
    print(format!("latency_ms {}", percentiles(&totals.latencies)));
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
    if !options.idle && options.kind == Kind::Traffic {
        let gb = (totals.in_time * CELL) as f64 / 1e9;
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
