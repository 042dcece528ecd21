//! `ramson testnet`: a private network on this machine, and real traffic through it.
//!
//! Every router is a process of its own (`ramson run` on a loopback port), and this process is one more router. It
//! builds its own tunnels through the others and sends itself a stream of messages: out through one tunnel, in through
//! another, so that every kind of hop works on every message. Each message is checked byte for byte when it comes
//! back; one that does not come is sent again, as a stream over tunnels has to. Beside that two destinations of this process
//! speak with each other by a stream, through tunnels of their own.

mod routers;
mod stream;
mod summary;
mod talk;

use crate::Failure;
use crate::{exporter, log, run, tunnels};
use actix::prelude::*;
use ramson_actors::node::Node;
use ramson_apps::names::Names;
use routers::{Routers, SITE_NAME};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::net::TcpListener;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use stream::{Progress, Stream};
use summary::Summary;

/// How long the routers may take to build the first tunnels.
const START_LIMIT: Duration = Duration::from_secs(90);

/// What is still on its way at the end has this long to arrive.
const LAST_MESSAGES: Duration = Duration::from_secs(20);

/// Runs the network.
///
/// # Errors
/// If it could not be started, or not every byte arrived intact.
pub(crate) fn run(count: u8, seconds: Option<u64>, rate: f64, dir: Option<PathBuf>) -> Result<(), Failure> {
    if !(0.001..=10_000.0).contains(&rate) {
        return Err(format!("--rate {rate}: give megabytes per second between 0.001 and 10000").into());
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let _: log::Filter = log::start("error")?;
    let prometheus = exporter::install()?;
    let temporary = if dir.is_none() { Some(tempfile::tempdir()?) } else { None };
    let base = dir.or_else(|| temporary.as_ref().map(|t| t.path().to_owned())).unwrap_or_default();
    let outcome = System::new().block_on(async move {
        let mut routers = Routers::start(&base, count)?;
        let (stream, progress) = Stream::start(rate * 1e6);
        let (settings, data) = (routers.settings_with_site()?, Rc::new(routers.own_data()?));
        let node = run::start_node(&settings, &data, Some(stream.clone().recipient()))?;
        let names = Names::new(data.names_path());
        let _applications = run::Applications::start(&settings, &data, &names, &node)?;
        let metrics = exporter::serve(TcpListener::bind(("127.0.0.1", 0))?, node.clone(), prometheus)?;
        let talk = talk::start(&node)?;
        let summary = Summary::begin(count, &base, metrics, &routers.metrics(), talk);
        if let Some(proxy) = settings.http_proxy.listen.0 {
            summary::tell_site(proxy, &tunnels::address(SITE_NAME, &data)?);
        }
        let outcome = drive(&node, &stream, &progress, summary, seconds, &stop).await;
        node.stop().await;
        routers.stop();
        outcome
    });
    drop(temporary);
    outcome
}

/// Until the time is over or a signal came, and what is on its way has arrived.
async fn drive(
    node: &Node,
    stream: &Addr<Stream>,
    progress: &Arc<Progress>,
    mut summary: Summary,
    seconds: Option<u64>,
    stop: &AtomicBool,
) -> Result<(), Failure> {
    let began = Instant::now();
    while node.readiness().is_err() {
        if stop.load(Relaxed) {
            return Err("ended before the first tunnels stood".into());
        }
        if began.elapsed() > START_LIMIT {
            let why = node.readiness().err().unwrap_or_default();
            return Err(format!("no tunnels after {} s: {why}", START_LIMIT.as_secs()).into());
        }
        actix::clock::sleep(Duration::from_millis(100)).await;
    }
    summary.ready(began.elapsed());
    stream.send(stream::Begin(node.clone())).await?;
    let began = Instant::now();
    while !stop.load(Relaxed) && seconds.is_none_or(|s| began.elapsed() < Duration::from_secs(s)) {
        actix::clock::sleep(Duration::from_millis(250)).await;
        summary.refresh(node, progress, began.elapsed());
    }
    stream.send(stream::Finish).await?;
    let ending = Instant::now();
    while progress.outstanding.load(Relaxed) > 0 && ending.elapsed() < LAST_MESSAGES {
        actix::clock::sleep(Duration::from_millis(100)).await;
    }
    summary.end(node, progress, began.elapsed())
}
