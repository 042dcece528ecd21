//! I2PControl: JSON-RPC over TLS, by which monitors ask how the router fares.
//!
//! ```text
//! program --TLS--> door --> http.rs --body--> the main thread: methods.rs, with what `ramson status` knows --> answer
//!                                                                    '--> Order: a signal to ourselves
//! each second: what came in and went out, for rates
//! ```

mod http;
mod methods;

use crate::doors::{self, Certificate, Places};
use crate::samples::Samples;
use crate::settings::Settings;
use crate::{exporter, status};
use methods::{Answer, Facts, Methods, Order};
use ramson_actors::node::Node;
use ramson_apps::{Host, door};
use serde_json::{Map, Value, json};
use signal_hook::consts::SIGTERM;
use std::collections::VecDeque;
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

/// Programs that are served at once.
const CLIENTS: usize = 16;

/// A program has asked and read its answer within this time.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whoever has said a wrong password hears of it after this.
const WRONG: Duration = Duration::from_secs(1);

/// Rates are of so many seconds at most.
const SECONDS: usize = 15;

/// A request that is asked on the main thread.
type Ask = (Vec<u8>, oneshot::Sender<Answer>);

/// Starts it, if it is to be there. `signals` end the router.
pub(crate) fn start(
    host: &Host,
    settings: &Settings,
    certificate: Certificate,
    node: &Node,
    signals: UnboundedSender<i32>,
) {
    let config = &settings.i2pcontrol;
    if config.listen.0.is_none() {
        return;
    }
    let (desk, asked) = mpsc::channel(CLIENTS);
    actix::spawn(answer_all(asked, config.password.clone(), services(settings), node.clone(), signals));
    let places = Places { tls: config.listen.0, ..Places::default() };
    host.run(async move {
        let doors = doors::open("i2pcontrol", &places, &certificate).await;
        for door in doors {
            let desk = desk.clone();
            door::serve(door, CLIENTS, move |socket| {
                let desk = desk.clone();
                async move {
                    // Whatever fails is the program's to notice.
                    let _ = timeout(PATIENCE, talk(socket, desk)).await;
                }
            })
            .await;
        }
    });
}

/// One request, one answer.
async fn talk(mut socket: TcpStream, desk: mpsc::Sender<Ask>) -> io::Result<()> {
    let Some((body, in_http)) = http::read(&mut socket).await? else { return Ok(()) };
    let (reply, answered) = oneshot::channel();
    // The main thread has ended before this one.
    if desk.send((body, reply)).await.is_err() {
        return Ok(());
    }
    let Ok(answer) = answered.await else { return Ok(()) };
    if answer.wrong {
        sleep(WRONG).await;
    }
    http::write(&mut socket, &format!("{}\n", answer.body), in_http).await
}

/// Answers, one after the other: where the router's parts can be asked.
async fn answer_all(
    mut asked: mpsc::Receiver<Ask>,
    password: String,
    services: Map<String, Value>,
    node: Node,
    signals: UnboundedSender<i32>,
) {
    let (mut methods, mut rates) = (Methods::new(password), Rates::default());
    let mut second = actix::clock::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            _ = second.tick() => rates.add(carried(&node)),
            ask = asked.recv() => {
                let Some((body, reply)) = ask else { return };
                let facts = || Facts {
                    status: status::gather(&node),
                    inbound: rates.of(0),
                    outbound: rates.of(1),
                    services: services.clone(),
                };
                let answer = methods.answer(&body, node.shared().now().mono, rand::random(), facts);
                let order = answer.order;
                // Who has gone needs none.
                let _ = reply.send(answer);
                // A second signal ends what the first one lets drain.
                let times = match order {
                    None => 0,
                    Some(Order::ShutdownGraceful) => 1,
                    Some(Order::Shutdown) => 2,
                };
                if times > 0 {
                    tracing::info!(?order, "I2PControl ends this router");
                    // The answer is to be read first.
                    sleep(WRONG).await;
                }
                for _ in 0..times {
                    let _ = signals.send(SIGTERM);
                }
            }
        }
    }
}

/// Bytes that have come in and gone out until now.
fn carried(node: &Node) -> [f64; 2] {
    let samples = Samples::read(&exporter::page(node));
    ["in", "out"].map(|direction| samples.sum("ramson_bytes_total", &[("direction", direction)]))
}

/// What was carried, second by second.
#[derive(Debug, Default)]
struct Rates(VecDeque<[f64; 2]>);

impl Rates {
    fn add(&mut self, carried: [f64; 2]) {
        if self.0.len() > SECONDS {
            self.0.pop_front();
        }
        self.0.push_back(carried);
    }

    /// Bytes a second in this direction: of the last second, and of the last fifteen or as many as there are.
    fn of(&self, direction: usize) -> [f64; 2] {
        let per_second = |seconds: usize| {
            let seconds = seconds.min(self.0.len().saturating_sub(1));
            let (last, first) = (self.0.back(), self.0.iter().nth_back(seconds));
            let carried = last.zip(first).map_or(0.0, |(last, first)| last[direction] - first[direction]);
            carried / seconds.max(1) as f64
        };
        [per_second(1), per_second(SECONDS)]
    }
}

/// What `ClientServicesInfo` tells. INTEROP: the keys are i2pd's; whose addresses there are, `ramson destinations` says.
fn services(settings: &Settings) -> Map<String, Value> {
    let enabled = |on: bool| json!({ "enabled": on });
    let tunnels = |server: bool| -> Value {
        let those = settings.tunnel.iter().filter(|one| one.kind().is_ok_and(|kind| kind.is_server() == server));
        Value::Object(those.map(|one| (one.name.clone(), json!({ "port": one.port }))).collect())
    };
    Map::from_iter([
        ("I2PTunnel".to_owned(), json!({ "client": tunnels(false), "server": tunnels(true) })),
        ("HTTPProxy".to_owned(), enabled(settings.http_proxy.listen.0.is_some())),
        ("SOCKS".to_owned(), enabled(settings.socks_proxy.listen.0.is_some())),
        ("SAM".to_owned(), enabled(settings.sam.is_there())),
        ("BOB".to_owned(), enabled(settings.bob.listen.0.is_some())),
        ("I2CP".to_owned(), enabled(settings.i2cp.is_there())),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_the_last_second_and_of_the_last_fifteen() {
        let mut rates = Rates::default();
        assert_eq!(rates.of(0), [0.0, 0.0]);
        for second in 0..40 {
            rates.add([f64::from(second) * 100.0, f64::from(second * second)]);
        }
        assert_eq!(rates.of(0), [100.0, 100.0]);
        assert_eq!(rates.of(1), [77.0, f64::from(39 * 39 - 24 * 24) / 15.0]);
    }
}
