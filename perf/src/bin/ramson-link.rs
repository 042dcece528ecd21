//! A link to order between two hosts: rate, delay, jitter, loss, reordering, duplication, in each direction.

#![expect(clippy::print_stderr, reason = "it is a tool for scripts and people")]

use clap::Parser;
use ramson_perf::link::{self, Conditions, Line};
use ramson_perf::peer::Outcome;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Carries IP packets between two TUN devices, which it is given as standard input and standard output, open for reading
/// and writing, without packet information, and not blocking: `perf/lab/link.py` makes them. SIGTERM ends it; then it
/// tells on standard error what became of the packets of each direction.
///
/// Conditions are written as `rate=10MB/s,queue=50ms,delay=25ms,jitter=2ms,loss=1%,reorder=1%,late=5ms,duplicate=1%,mtu=1280`,
/// any of them.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// What happens to packets from the first device to the second.
    #[arg(long, default_value = "")]
    forth: Conditions,
    /// What happens to packets from the second device to the first.
    #[arg(long, default_value = "")]
    back: Conditions,
    /// Decides which packets it happens to.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    match carry(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn carry(args: &Args) -> Outcome<()> {
    let over = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&over))?;
    }
    let (a, b) = (device(io::stdin().as_fd())?, device(io::stdout().as_fd())?);
    let mut lines = [Line::new(args.forth, args.seed), Line::new(args.back, args.seed.wrapping_add(1))];
    link::run([&a, &b], &mut lines, &over)?;
    let [forth, back] = lines.map(|line| line.counts());
    eprintln!("forth {forth}");
    eprintln!("back {back}");
    Ok(())
}

fn device(given: BorrowedFd<'_>) -> Outcome<File> {
    Ok(File::from(given.try_clone_to_owned()?))
}
