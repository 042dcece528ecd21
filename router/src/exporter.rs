//! `/metrics` for Prometheus, and `/health/live` and `/health/ready`.
//!
//! The control plane counts through the `metrics` crate as things happen. The data plane counts into structs of its own
//! threads; they are read here, at each scrape, so that the fast path knows nothing of exporters.

pub(crate) mod reference;
pub(crate) mod table;

mod data_plane;
mod http;
mod page;
mod process;
#[cfg(test)]
mod tests;

use http::Answer;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use page::Page;
use ramson_actors::mailbox::Mailbox;
use ramson_actors::node::Node;
use ramson_actors::series::{Row, control};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::OnceLock;
use std::time::{Instant, SystemTime};

/// What counts in this process, and since when.
struct Recorder {
    handle: PrometheusHandle,
    began: Began,
}

/// When the process began, read once by each clock: read again, it would move with the clock of the wall, and a scraper would
/// take each move for another start.
#[derive(Clone, Copy)]
struct Began {
    up: Instant,
    wall: SystemTime,
}

impl Began {
    fn now() -> Self {
        Self { up: Instant::now(), wall: SystemTime::now() }
    }
}

static RECORDER: OnceLock<Recorder> = OnceLock::new();

/// Installs the recorder of the process. To be called once, before anything counts.
///
/// # Errors
/// If there is one already.
pub(crate) fn install() -> io::Result<PrometheusHandle> {
    let buckets = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];
    let builder = PrometheusBuilder::new().set_buckets(&buckets).map_err(io::Error::other)?;
    let handle = builder.install_recorder().map_err(io::Error::other)?;
    series().for_each(Row::describe);
    control::begin();
    ["ok", "failed"].iter().for_each(|outcome| table::RELOADS.add([outcome], 0));
    ["error", "warn", "info"].iter().for_each(|level| table::LOG_BY_LEVEL.add([level], 0));
    table::LOG_LINES.add([], 0);
    // This is called once.
    let _ = RECORDER.set(Recorder { handle: handle.clone(), began: Began::now() });
    Ok(handle)
}

/// Serves until the system ends, on a socket that listens. The address that is served is returned: a port of 0 has picked a
/// free one.
///
/// # Errors
/// If the socket cannot be served.
pub(crate) fn serve(listener: TcpListener, node: Node, prometheus: PrometheusHandle) -> io::Result<SocketAddr> {
    let began = RECORDER.get().map_or_else(Began::now, |recorder| recorder.began);
    http::serve(listener, move |path| match path {
        "/" => Answer::text("200 OK", "ramson: /metrics, /health/live, /health/ready\n"),
        "/metrics" => {
            Answer { status: "200 OK", kind: "text/plain; version=0.0.4", body: render(&node, &prometheus, began) }
        }
        // The process answers: that is all that "alive" means.
        "/health/live" => Answer::text("200 OK", "alive\n"),
        "/health/ready" => match node.readiness() {
            Ok(()) => Answer::text("200 OK", "ready\n"),
            Err(why) => Answer::text("503 Service Unavailable", format!("not ready: {why}\n")),
        },
        _ => Answer::text("404 Not Found", "there are /metrics, /health/live and /health/ready\n"),
    })
}

/// All that is exported: what the recorder holds, and what is read now.
fn render(node: &Node, prometheus: &PrometheusHandle, began: Began) -> String {
    let mut page = Page::default();
    process::put(&mut page, began);
    process::put_disk(&mut page, node.database());
    published(&mut page, node);
    page.put(&table::ACCEPT_ERRORS.0, [], node.transports().accept_errors() as f64);
    let mailboxes = node.shared().mailboxes();
    for mailbox in Mailbox::ALL {
        page.put(&table::MAILBOX.0, [mailbox.label()], mailboxes.depth(mailbox) as f64);
        page.put(&table::MAILBOX_REFUSED.0, [mailbox.label()], mailboxes.refused(mailbox) as f64);
    }
    page.put(&table::READY.0, [], f64::from(u8::from(node.readiness().is_ok())));
    data_plane::put(&mut page, node.transports(), node.shared().clients());
    let mut text = prometheus.render();
    page.write(table::TABLE, &mut text);
    text
}

/// What our RouterInfo says.
fn published(page: &mut Page, node: &Node) {
    let info = node.shared().router_info();
    let caps = info.caps();
    let bandwidth = caps.bandwidth.map_or_else(String::new, |letter| format!("{letter:?}"));
    let network = info.net_id().unwrap_or_default().to_string();
    page.put(&table::PUBLISHED.0, [&caps.to_string(), &bandwidth, &network], 1.0);
    page.put(&table::PUBLISHED_AGE.0, [], node.shared().now().wall.since(info.published()).as_secs_f64());
}

/// The page of this process, as a scrape would have it.
pub(crate) fn page(node: &Node) -> String {
    RECORDER.get().map_or_else(String::new, |recorder| render(node, &recorder.handle, recorder.began))
}

/// All series, of the control plane and those that are read at a scrape.
pub(crate) fn series() -> impl Iterator<Item = &'static Row> {
    control::TABLE.iter().chain(ramson_apps::series::TABLE).chain(table::TABLE)
}
