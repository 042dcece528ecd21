//! Speaks NTCP2, SSU2 and I2NP badly to a router under test, one bad habit (mode) per run.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a tool for scripts and people")]

use clap::Parser;
use ramson_perf::hostile::{self, LONG_MODES, MODES};
use ramson_perf::peer::Target;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

/// Plays a hostile peer. Exit status 0: the router behaved as it must. Prints `expect METRIC{labels}` for counters of
/// the router's exporter that must have grown meanwhile, and `saw …` for what was observed.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Where the router listens; its RouterInfo says it, too.
    #[arg(long)]
    target: Option<SocketAddr>,
    /// The router's `router.info`.
    #[arg(long, required_unless_present = "list")]
    router_info: Option<PathBuf>,
    /// The network, never the live one.
    #[arg(long, default_value_t = 99, value_parser = clap::value_parser!(u8).range(3..))]
    net_id: u8,
    /// The address to call from.
    #[arg(long)]
    source: Option<IpAddr>,
    /// The router's process, to tell what floods cost it.
    #[arg(long)]
    pid: Option<u32>,
    /// Print the modes, one a line.
    #[arg(long)]
    list: bool,
    /// What to do; see --list.
    #[arg(required_unless_present = "list")]
    mode: Option<String>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if args.list {
        MODES.iter().for_each(|mode| println!("{}", mode.name));
        return ExitCode::SUCCESS;
    }
    let (Some(path), Some(name)) = (args.router_info, args.mode) else { return ExitCode::from(2) };
    let Some(mode) = MODES.iter().chain(LONG_MODES).find(|mode| mode.name == name) else {
        eprintln!("no mode {name:?}; --list names them all");
        return ExitCode::from(2);
    };
    let target = match Target::read(&path, args.target, args.net_id, args.source) {
        Ok(target) => target,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let (report, result) = hostile::run(mode, target, args.pid);
    report.iter().for_each(|line| println!("{line}"));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}
