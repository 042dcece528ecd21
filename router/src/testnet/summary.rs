//! What `ramson testnet` shows: a block of lines that refreshes on a terminal, a line every few seconds elsewhere.
#![expect(clippy::print_stdout, reason = "it is what the command is for")]

use super::stream::Progress;
use super::talk::Talk;
use crate::Failure;
use ramson_actors::node::Node;
use ramson_transports::stats::Role;
use std::io::{IsTerminal, Read, Write, stdout};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// How often the summary refreshes on a terminal, and elsewhere.
const ON_TERMINAL: Duration = Duration::from_millis(500);
const ELSEWHERE: Duration = Duration::from_secs(5);

/// By then a lease set must have been found, and a byte have come.
const STREAM_LIMIT: Duration = Duration::from_secs(60);

/// A router that does not answer in this time is left out of the sums.
const SCRAPE_LIMIT: Duration = Duration::from_millis(200);

/// The summary.
pub(crate) struct Summary {
    own_metrics: SocketAddr,
    metrics: Vec<SocketAddr>,
    terminal: bool,
    shown: bool,
    last: Instant,
    last_bytes: u64,
    talk: Arc<Talk>,
}

/// Sums over all routers, from their metrics.
#[derive(Default)]
struct Network {
    cells: f64,
    accepted: f64,
    asked: f64,
    built: f64,
    tried: f64,
}

impl Summary {
    pub(crate) fn begin(count: u8, base: &Path, metrics: SocketAddr, others: &[SocketAddr], talk: Arc<Talk>) -> Self {
        println!("private network of {count} routers and this one, in {}", base.display());
        println!("metrics of this router: http://{metrics}/metrics");
        Self {
            own_metrics: metrics,
            metrics: others.to_vec(),
            terminal: stdout().is_terminal(),
            shown: false,
            last: Instant::now(),
            last_bytes: 0,
            talk,
        }
    }

    pub(crate) fn ready(&mut self, after: Duration) {
        println!("first tunnels after {:.1} s; the stream begins (Ctrl-C ends it)", after.as_secs_f64());
        self.last = Instant::now();
    }

    pub(crate) fn refresh(&mut self, node: &Node, progress: &Progress, elapsed: Duration) {
        if self.last.elapsed() < if self.terminal { ON_TERMINAL } else { ELSEWHERE } {
            return;
        }
        let bytes = progress.arrived_bytes.load(Relaxed);
        let rate = (bytes - self.last_bytes) as f64 / self.last.elapsed().as_secs_f64() / 1e6;
        (self.last, self.last_bytes) = (Instant::now(), bytes);
        let lines = self.lines(node, progress, rate, elapsed);
        if self.terminal && self.shown {
            print!("\x1b[{}A\x1b[J", lines.len());
        }
        self.shown = true;
        if self.terminal {
            lines.iter().for_each(|line| println!("{line}"));
        } else {
            println!("{}", lines.join("; "));
        }
        // A closed terminal is no reason to stop the network.
        let _ = stdout().flush();
    }

    fn lines(&self, node: &Node, progress: &Progress, rate: f64, elapsed: Duration) -> Vec<String> {
        let network = self.scrape();
        let own = node.own_tunnels();
        let stats = node.transports().stats();
        let own_cells: u64 = stats
            .iter()
            .map(|t| t.cells[Role::OwnOutbound as usize].get() + t.cells[Role::OwnInbound as usize].get())
            .sum();
        let (p50, p99) = percentiles(progress);
        vec![
            format!(
                "{:>5.0} s  {rate:.2} MB/s verified, {:.1} MB in all",
                elapsed.as_secs_f64(),
                progress.arrived_bytes.load(Relaxed) as f64 / 1e6
            ),
            format!(
                "messages {} sent, {} intact, {} sent again, {} corrupt",
                progress.sent.load(Relaxed),
                progress.arrived.load(Relaxed),
                progress.resent.load(Relaxed),
                progress.corrupt.load(Relaxed)
            ),
            format!("cells    {own_cells} of our own, {:.0} relayed by the others", network.cells),
            format!(
                "tunnels  {} out and {} in; builds {:.0} of {:.0} succeeded; hops accepted {:.0} of {:.0} requests",
                own.outbound.len(),
                own.inbound.len(),
                network.built,
                network.tried,
                network.accepted,
                network.asked
            ),
            format!("streams  {:.1} MB from destination to destination", self.talk.bytes.load(Relaxed) as f64 / 1e6),
            format!("latency  {p50:.1} ms median, {p99:.1} ms at 99 %"),
        ]
    }

    /// The last word.
    ///
    /// # Errors
    /// If anything is missing or corrupt.
    pub(crate) fn end(&self, node: &Node, progress: &Progress, elapsed: Duration) -> Result<(), Failure> {
        let rate = progress.arrived_bytes.load(Relaxed) as f64 / 1e6 / elapsed.as_secs_f64();
        self.lines(node, progress, rate, elapsed).iter().for_each(|line| println!("{line}"));
        let (arrived, corrupt) = (progress.arrived.load(Relaxed), progress.corrupt.load(Relaxed));
        let missing = progress.sent.load(Relaxed) - arrived;
        if arrived == 0 {
            return Err("nothing arrived".into());
        }
        if self.talk.wrong.load(Relaxed) {
            return Err("a stream between two destinations brought other bytes than were sent".into());
        }
        if self.talk.bytes.load(Relaxed) == 0 && elapsed > STREAM_LIMIT {
            return Err(format!("no stream between two destinations in {} s", STREAM_LIMIT.as_secs()).into());
        }
        if corrupt > 0 || missing > 0 {
            return Err(format!("{missing} messages are missing, {corrupt} were corrupt").into());
        }
        println!("every byte arrived intact");
        Ok(())
    }

    fn scrape(&self) -> Network {
        let mut network = Network::default();
        for addr in self.metrics.iter().chain([&self.own_metrics]) {
            let Some(text) = get_metrics(*addr) else { continue };
            for line in text.lines() {
                let Some((name, value)) = line.rsplit_once(' ') else { continue };
                let Ok(value) = value.parse::<f64>() else { continue };
                if name.starts_with("ramson_cells_total") && !name.contains("own_") {
                    network.cells += value;
                } else if name.starts_with("ramson_build_requests_total") {
                    network.asked += value;
                    if name.contains("\"accepted\"") {
                        network.accepted += value;
                    }
                } else if name.starts_with("ramson_own_builds_total") {
                    network.tried += value;
                    if name.contains("\"ok\"") {
                        network.built += value;
                    }
                }
            }
        }
        network
    }
}

/// How the site is looked at.
pub(crate) fn tell_site(proxy: SocketAddr, address: &str) {
    println!("a site in it, for a browser with the HTTP proxy {proxy}: http://{address}/");
    println!("curl -x http://{proxy} http://{address}/");
}

/// Median and 99th percentile of the last latencies, in milliseconds.
fn percentiles(progress: &Progress) -> (f64, f64) {
    let mut all: Vec<u64> = progress.latencies_us.lock().iter().copied().collect();
    if all.is_empty() {
        return (0.0, 0.0);
    }
    all.sort_unstable();
    (all[all.len() / 2] as f64 / 1e3, all[all.len() * 99 / 100] as f64 / 1e3)
}

fn get_metrics(addr: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&addr, SCRAPE_LIMIT).ok()?;
    stream.set_read_timeout(Some(SCRAPE_LIMIT)).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}
