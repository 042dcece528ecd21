//! Loads a router with tunnels of simulated peers and checks every cell that comes back.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a tool for scripts and people")]

use clap::Parser;
use ramson_perf::load::{self, Kind, Options, Rate, Roles, Transport};
use ramson_perf::peer::Target;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Simulated peers connect over NTCP2 or SSU2, build tunnels through the router, send cells at a set rate, and check every cell
/// that comes out. Exit status 0: tunnels were built, and every cell that came was the right one. The router must run
/// in a private network (`allow_private_addresses`), with limits that leave room for the load.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Where the router listens; its RouterInfo says it, too.
    #[arg(long)]
    target: Option<SocketAddr>,
    /// The router's `router.info`.
    #[arg(long)]
    router_info: PathBuf,
    /// The network, never the live one.
    #[arg(long, default_value_t = 99, value_parser = clap::value_parser!(u8).range(3..))]
    net_id: u8,
    /// The address to call from.
    #[arg(long)]
    source: Option<IpAddr>,
    /// How many addresses from there on the peers have: routers limit the connections of one.
    #[arg(long, default_value_t = 1, requires = "source", value_parser = clap::value_parser!(u8).range(1..=250))]
    sources: u8,
    /// What the peers speak: ntcp2, ssu2, or mixed, every other the one.
    #[arg(long, default_value = "ntcp2")]
    transport: Transport,
    /// Send datagrams of SSU2 one by one: the router then receives them so.
    #[arg(long)]
    no_offload: bool,
    /// Simulated peers, two or more for each thread.
    #[arg(long, default_value_t = 16)]
    peers: usize,
    /// Tunnels through the router.
    #[arg(long, default_value_t = 32)]
    tunnels: usize,
    /// What the router is in them: participant, obep, ibgw, ends (both of these) or mixed.
    #[arg(long, default_value = "participant")]
    role: Roles,
    /// Build requests without an answer, of one thread: routers bound their queues at about two hundred.
    #[arg(long, default_value_t = 48)]
    builds: usize,
    /// Milliseconds between two build requests of one thread: i2pd drops what one peer asks in quick succession.
    #[arg(long, default_value_t = 0)]
    build_pause: u64,
    /// Cells to be sent, in MB/s of 1,024-byte cell bodies; or `max`: as many as come back.
    #[arg(long, default_value = "max")]
    rate: Rate,
    /// Cells that are sent one after the other in one tunnel.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=64))]
    burst: u32,
    /// How long to send.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Seconds to send beforehand, without counting.
    #[arg(long, default_value_t = 0)]
    warm_up: u64,
    /// Threads of this tool.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Never sleep: over loopback a router that sends pays for waking the receiver, which no network card would charge.
    #[arg(long)]
    spin: bool,
    /// The router's process, to tell its processor time and memory.
    #[arg(long)]
    pid: Option<u32>,
    /// Send nothing: hold the sessions and tunnels, and tell the router's memory.
    #[arg(long)]
    idle: bool,
    /// Of the tunnels: so many send only a sixteenth of what the others send. Their loss is told apart.
    #[arg(long, default_value_t = 0)]
    small: usize,
    /// Two more peers ask over NTCP2 for a tunnel and look up a key, twenty times a second, while the load runs.
    #[arg(long)]
    probe: bool,
    /// What the load is made of: traffic; builds, as many as are answered, without traffic; or netdb, stores of new
    /// routers and lookups of them. Of the last two `--builds` are under way at once.
    #[arg(long, default_value = "traffic")]
    kind: Kind,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let target = match Target::read(&args.router_info, args.target, args.net_id, args.source) {
        Ok(target) => target,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let options = Options {
        peers: args.peers,
        tunnels: args.tunnels,
        transport: args.transport,
        offload: !args.no_offload,
        sources: args.sources,
        roles: args.role,
        builds: args.builds.max(1),
        build_pause: Duration::from_millis(args.build_pause),
        rate: args.rate,
        burst: args.burst,
        duration: Duration::from_secs(args.seconds),
        warm_up: Duration::from_secs(args.warm_up),
        threads: args.threads,
        pid: args.pid,
        spin: args.spin,
        idle: args.idle,
        small: args.small,
        probe: args.probe,
        kind: args.kind,
    };
    match load::run(&target, options, &mut |line| println!("{line}")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
