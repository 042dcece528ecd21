//! Asking a time server.
//!
//! spec: RFC 4330 §5

use crate::series::outcomes::ClockOutcome;
use ramson_protocol::clock::sntp::{self, LEN, PORT};
use ramson_transports::clock::Clock;
use rand::{Rng, RngExt};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// How long a name may take to be looked up, and a server to answer.
const NAME_WITHIN: Duration = Duration::from_secs(2);
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Datagrams that are looked at before an answer is given up.
const DATAGRAMS: usize = 8;

/// How many milliseconds a server's clock is ahead of ours.
///
/// # Errors
/// Why it is not known: a label for metrics.
pub(super) async fn ask(server: String, clock: Clock) -> Result<i64, ClockOutcome> {
    let at = resolve(server).await.ok_or(ClockOutcome::Name)?;
    timeout(ANSWER_WITHIN, exchange(at, &clock)).await.map_err(|_| ClockOutcome::TimedOut)?
}

/// One address of a server, any of several.
async fn resolve(server: String) -> Option<SocketAddr> {
    let look_up = move || {
        let has_port = server.parse::<SocketAddr>().is_ok() || server.matches(':').count() == 1;
        let found = if has_port { server.to_socket_addrs() } else { (server.as_str(), PORT).to_socket_addrs() };
        found.map(Iterator::collect::<Vec<_>>).unwrap_or_default()
    };
    // A thread that waits for a name server goes on after we have given up; there are no more of them than servers.
    let found = timeout(NAME_WITHIN, tokio::task::spawn_blocking(look_up)).await.ok()?.ok()?;
    // IPv4 is the more likely to lead somewhere.
    let v4: Vec<SocketAddr> = found.iter().filter(|at| at.is_ipv4()).copied().collect();
    let all = if v4.is_empty() { found } else { v4 };
    (!all.is_empty()).then(|| all[rand::rng().random_range(0..all.len())])
}

async fn exchange(at: SocketAddr, clock: &Clock) -> Result<i64, ClockOutcome> {
    let any: SocketAddr =
        if at.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = UdpSocket::bind(any).await.map_err(|_| ClockOutcome::Socket)?;
    socket.connect(at).await.map_err(|_| ClockOutcome::Unreachable)?;
    let cookie = rand::rng().next_u64();
    let sent = clock.now();
    socket.send(&sntp::question(cookie)).await.map_err(|_| ClockOutcome::Unreachable)?;
    let mut buffer = [0; 4 * LEN];
    for _ in 0..DATAGRAMS {
        let len = socket.recv(&mut buffer).await.map_err(|_| ClockOutcome::Unreachable)?;
        let took = clock.now().mono.saturating_sub(sent.mono);
        match sntp::offset_ms(&buffer[..len], cookie, sent.wall, took) {
            // Somebody guesses.
            Err(sntp::Error::Unasked | sntp::Error::Short | sntp::Error::NotAServer) => {}
            Err(sntp::Error::Unsynchronised) => return Err(ClockOutcome::Unsynchronised),
            Err(sntp::Error::Absurd) => return Err(ClockOutcome::Absurd),
            Ok(offset) => return Ok(offset),
        }
    }
    Err(ClockOutcome::Forged)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that is an hour ahead, and answers after a forger has.
    async fn server() -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let at = socket.local_addr().unwrap();
        actix::spawn(async move {
            let mut question = [0; LEN];
            let (_, from) = socket.recv_from(&mut question).await.unwrap();
            let ntp = |secs: u64| ((secs + 2_208_988_800 + 3600) << 32).to_be_bytes();
            let mut answer = vec![0; LEN];
            (answer[0], answer[1]) = (0x24, 2);
            let now = Clock::system().0 / 1000;
            answer[32..40].copy_from_slice(&ntp(now));
            answer[40..48].copy_from_slice(&ntp(now));
            socket.send_to(&answer, from).await.unwrap();
            answer[24..32].copy_from_slice(&question[40..48]);
            socket.send_to(&answer, from).await.unwrap();
        });
        at
    }

    #[actix::test]
    async fn a_server_tells_the_time_and_a_forger_beside_it_does_not() {
        let offset = ask(server().await.to_string(), Clock::new()).await.unwrap();
        assert!((offset - 3_600_000).abs() < 3000, "{offset}");
    }

    #[actix::test]
    async fn a_server_that_does_not_answer_or_has_no_name_is_no_error_of_ours() {
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        assert_eq!(ask(silent.local_addr().unwrap().to_string(), Clock::new()).await, Err(ClockOutcome::TimedOut));
        assert_eq!(ask("no such name".to_owned(), Clock::new()).await, Err(ClockOutcome::Name));
    }
}
