//! The methods of I2PControl: a request in, an answer out.
//!
//! ```text
//! {"id", "method", "params": {"Token", ...}}  -->  {"id", "result": {...}, "jsonrpc": "2.0"}
//!                                              '-> {"id", "error": {"code", "message"}, "jsonrpc": "2.0"}
//! ```
//! | method | parameters | answer |
//! |---|---|---|
//! | `Authenticate` | `API` 1, `Password` | `API`, `Token` |
//! | `Echo` | `Echo` | `Result` |
//! | `RouterInfo` | keys | their values |
//! | `RouterManager` | `Shutdown`, `ShutdownGraceful` | the same keys, `null` |
//! | `NetworkSetting` | `i2p.router.net.bw.in`, `.out` | kilobytes a second |
//! | `I2PControl` | `i2pcontrol.password` | the same key, `null`; until the next start |
//! | `ClientServicesInfo` | `I2PTunnel`, `HTTPProxy`, `SOCKS`, `SAM`, `BOB`, `I2CP` | what there is |
//!
//! Keys that nobody knows are left out. spec: i2pcontrol. INTEROP: names, types and units are i2pd's, numbers of errors and of
//! `net.status` those of the specification, as programs that were written for Java read them. i2pd asks for no token; this does.

use serde_json::{Map, Value, json};
use std::collections::VecDeque;
use std::time::Duration;
use subtle::ConstantTimeEq;

/// Tokens that count at a time; the oldest gives way.
const MAX_TOKENS: usize = 64;

/// A token counts for so long. INTEROP: a day in Java.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// What is known of the router now.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// What `ramson status --json` prints.
    pub(super) status: Value,
    /// Bytes a second that come in, of the last second and of the last fifteen.
    pub(super) inbound: [f64; 2],
    /// The same of those that go out.
    pub(super) outbound: [f64; 2],
    /// What `ClientServicesInfo` tells, by its keys.
    pub(super) services: Map<String, Value>,
}

/// What the router is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// End now.
    Shutdown,
    /// End when no tunnel of others stands any more.
    ShutdownGraceful,
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    /// The bytes of it are these.
    pub(super) body: Value,
    /// What is to be done when it has been given.
    pub(super) order: Option<Order>,
    /// It was a wrong password: the next try is to wait.
    pub(super) wrong: bool,
}

/// An error, as its caller is told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Error {
    #[error("Parse error")]
    Parse,
    #[error("Invalid Request")]
    Request,
    #[error("Method not found")]
    Method,
    #[error("Invalid params")]
    Params,
    #[error("Invalid password provided.")]
    Password,
    #[error("No authentication token presented.")]
    NoToken,
    #[error("Authentication token doesn't exist.")]
    Token,
    #[error("The provided authentication token was expired and will be removed.")]
    Expired,
    #[error("The version of the I2PControl API wasn't specified, but is required to be specified.")]
    NoVersion,
    #[error("The version of the I2PControl API specified is not supported by I2PControl.")]
    Version,
    #[error("bandwidth is set in the configuration: bandwidth.inbound and bandwidth.outbound")]
    Fixed,
}

impl Error {
    /// spec: i2pcontrol §Error codes; JSON-RPC 2.0
    fn code(self) -> i32 {
        match self {
            Self::Parse => -32700,
            Self::Request => -32600,
            Self::Method => -32601,
            Self::Params | Self::Fixed => -32602,
            Self::Password => -32001,
            Self::NoToken => -32002,
            Self::Token => -32003,
            Self::Expired => -32004,
            Self::NoVersion => -32005,
            Self::Version => -32006,
        }
    }
}

/// Who may ask, and what is answered.
pub(super) struct Methods {
    password: String,
    tokens: VecDeque<(String, Duration)>,
}

impl Methods {
    pub(super) fn new(password: String) -> Self {
        Self { password, tokens: VecDeque::new() }
    }

    /// Answers a request. `now` rises; `random` is for a token; `facts` are gathered only for whoever may know them.
    pub(super) fn answer(
        &mut self,
        body: &[u8],
        now: Duration,
        random: [u8; 16],
        facts: impl FnOnce() -> Facts,
    ) -> Answer {
        let request: Result<Value, _> = serde_json::from_slice(body);
        let id = request.as_ref().ok().and_then(|request| request.get("id")).cloned().unwrap_or_default();
        let done = request.map_err(|_| Error::Parse).and_then(|request| self.perform(&request, now, random, facts));
        match done {
            Ok((result, order)) => {
                Answer { body: json!({ "id": id, "result": result, "jsonrpc": "2.0" }), order, wrong: false }
            }
            Err(error) => {
                let told = json!({ "code": error.code(), "message": error.to_string() });
                let wrong = error == Error::Password;
                Answer { body: json!({ "id": id, "error": told, "jsonrpc": "2.0" }), order: None, wrong }
            }
        }
    }

    fn perform(
        &mut self,
        request: &Value,
        now: Duration,
        random: [u8; 16],
        facts: impl FnOnce() -> Facts,
    ) -> Result<(Map<String, Value>, Option<Order>), Error> {
        let method = request.get("method").and_then(Value::as_str).ok_or(Error::Request)?;
        let nothing = Map::new();
        let params = match request.get("params") {
            None | Some(Value::Null) => &nothing,
            Some(params) => params.as_object().ok_or(Error::Params)?,
        };
        if method == "Authenticate" {
            return Ok((self.authenticate(params, now, random)?, None));
        }
        self.check_token(params, now)?;
        let mut order = None;
        let result = match method {
            "Echo" => Map::from_iter([("Result".to_owned(), params.get("Echo").cloned().ok_or(Error::Params)?)]),
            "RouterInfo" => {
                let facts = facts();
                found(params, |key| facts.of(key))
            }
            "ClientServicesInfo" => {
                let facts = facts();
                found(params, |key| facts.services.get(key).cloned())
            }
            "RouterManager" => {
                order = ["Shutdown", "ShutdownGraceful"]
                    .into_iter()
                    .find(|key| params.contains_key(*key))
                    .map(|key| if key == "Shutdown" { Order::Shutdown } else { Order::ShutdownGraceful });
                found(params, |key| matches!(key, "Shutdown" | "ShutdownGraceful").then_some(Value::Null))
            }
            "NetworkSetting" => {
                if params.iter().any(|(key, value)| key.starts_with("i2p.router.net.bw.") && !is_question(value)) {
                    return Err(Error::Fixed);
                }
                let facts = facts();
                found(params, |key| facts.limit(key))
            }
            "I2PControl" => {
                if let Some(password) = params.get("i2pcontrol.password") {
                    let password = password.as_str().filter(|password| !password.is_empty()).ok_or(Error::Params)?;
                    // INTEROP: as in i2pd, all have to authenticate anew.
                    self.password = password.to_owned();
                    self.tokens.clear();
                }
                found(params, |key| (key == "i2pcontrol.password").then_some(Value::Null))
            }
            _ => return Err(Error::Method),
        };
        Ok((result, order))
    }

    fn authenticate(
        &mut self,
        params: &Map<String, Value>,
        now: Duration,
        random: [u8; 16],
    ) -> Result<Map<String, Value>, Error> {
        match params.get("API").map(number) {
            None => return Err(Error::NoVersion),
            Some(Some(1)) => {}
            Some(_) => return Err(Error::Version),
        }
        let given = params.get("Password").and_then(Value::as_str).ok_or(Error::Password)?;
        if !bool::from(given.as_bytes().ct_eq(self.password.as_bytes())) {
            return Err(Error::Password);
        }
        let token: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        if self.tokens.len() >= MAX_TOKENS {
            self.tokens.pop_front();
        }
        self.tokens.push_back((token.clone(), now + LIFETIME));
        Ok(Map::from_iter([("API".to_owned(), json!(1)), ("Token".to_owned(), json!(token))]))
    }

    fn check_token(&mut self, params: &Map<String, Value>, now: Duration) -> Result<(), Error> {
        let given = params.get("Token").and_then(Value::as_str).ok_or(Error::NoToken)?;
        let at = self.tokens.iter().position(|(token, _)| bool::from(token.as_bytes().ct_eq(given.as_bytes())));
        let at = at.ok_or(Error::Token)?;
        if self.tokens[at].1 <= now {
            self.tokens.remove(at);
            return Err(Error::Expired);
        }
        Ok(())
    }
}

/// The values of those keys that are known.
fn found(params: &Map<String, Value>, of: impl Fn(&str) -> Option<Value>) -> Map<String, Value> {
    params.keys().filter_map(|key| Some((key.clone(), of(key)?))).collect()
}

/// A number, also one in quotes, as some programs write it.
fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// A setting that is only asked for.
fn is_question(value: &Value) -> bool {
    value.is_null() || value == "" || value == "null"
}

impl Facts {
    fn number(&self, path: &str) -> f64 {
        self.status.pointer(path).and_then(Value::as_f64).unwrap_or_default()
    }

    /// The sum of all numbers of an object.
    fn sum(&self, path: &str) -> f64 {
        let all = self.status.pointer(path).and_then(Value::as_object);
        all.into_iter().flat_map(Map::values).filter_map(Value::as_f64).sum()
    }

    /// A value of `RouterInfo`.
    fn of(&self, key: &str) -> Option<Value> {
        let whole = |n: f64| json!(n as u64);
        Some(match key {
            "i2p.router.uptime" => whole(self.number("/uptime_s") * 1000.0),
            "i2p.router.version" => self.status.get("version")?.clone(),
            "i2p.router.status" => json!(if self.status.get("ready")? == true { "1" } else { "0" }),
            "i2p.router.netdb.knownpeers" => whole(self.number("/netdb/routers")),
            "i2p.router.netdb.activepeers" => {
                let sessions = ["in", "out"].into_iter().flat_map(|side| {
                    ["ntcp2", "ssu2"].map(|kind| self.number(&format!("/traffic/{side}/{kind}_sessions")))
                });
                whole(sessions.sum())
            }
            "i2p.router.netdb.isreseeding" => {
                let words = self.status.pointer("/netdb/reseeding").and_then(Value::as_str).unwrap_or_default();
                json!(words == "reseeding now")
            }
            "i2p.router.net.bw.inbound.1s" => json!(self.inbound[0]),
            "i2p.router.net.bw.inbound.15s" => json!(self.inbound[1]),
            "i2p.router.net.bw.outbound.1s" => json!(self.outbound[0]),
            "i2p.router.net.bw.outbound.15s" => json!(self.outbound[1]),
            "i2p.router.net.status" => json!(self.reachability("ipv4")),
            "i2p.router.net.status.v6" => json!(self.reachability("ipv6")),
            "i2p.router.net.error" | "i2p.router.net.error.v6" => json!(0),
            "i2p.router.net.testing" => json!(u8::from(self.reachability("ipv4") == TESTING)),
            "i2p.router.net.testing.v6" => json!(u8::from(self.reachability("ipv6") == TESTING)),
            "i2p.router.net.tunnels.participating" => whole(self.sum("/transit/tunnels")),
            "i2p.router.net.tunnels.successrate" => {
                let (built, all) = (self.number("/own_tunnels/builds/ok"), self.sum("/own_tunnels/builds"));
                whole(if all > 0.0 { 100.0 * built / all } else { 0.0 })
            }
            "i2p.router.net.total.received.bytes" => whole(self.number("/traffic/in/bytes")),
            "i2p.router.net.total.sent.bytes" => whole(self.number("/traffic/out/bytes")),
            _ => return None,
        })
    }

    /// spec: i2pcontrol §Status Code Enum
    fn reachability(&self, family: &str) -> u8 {
        match self.status.pointer(&format!("/peers/reachability/{family}")).and_then(Value::as_str) {
            Some("ok") => OK,
            Some("firewalled" | "symmetric_nat") => FIREWALLED,
            _ => TESTING,
        }
    }

    /// A value of `NetworkSetting`.
    fn limit(&self, key: &str) -> Option<Value> {
        let side = match key {
            "i2p.router.net.bw.in" => "in",
            "i2p.router.net.bw.out" => "out",
            _ => return None,
        };
        Some(json!((self.number(&format!("/traffic/{side}/limit_bytes_per_second")) / 1000.0) as u64))
    }
}

const OK: u8 = 0;
const TESTING: u8 = 1;
const FIREWALLED: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Duration = Duration::from_secs(1000);

    fn facts() -> Facts {
        let status = json!({
            "version": "9", "uptime_s": 7, "ready": true,
            "traffic": {
                "in": { "bytes": 5, "ntcp2_sessions": 2, "ssu2_sessions": 1, "limit_bytes_per_second": 25_000_000 },
                "out": { "bytes": 6, "ntcp2_sessions": 1, "ssu2_sessions": 0, "limit_bytes_per_second": 1_000_000 },
            },
            "peers": { "reachability": { "ipv4": "ok" } },
            "transit": { "tunnels": { "participant": 3, "endpoint": 1 } },
            "own_tunnels": { "builds": { "ok": 3, "timed_out": 1 } },
            "netdb": { "routers": 60 },
        });
        let services = Map::from_iter([("SAM".to_owned(), json!({ "enabled": true }))]);
        Facts { status, inbound: [1.5, 1.0], outbound: [2.5, 2.0], services }
    }

    fn ask(methods: &mut Methods, method: &str, params: Value) -> Answer {
        let body = json!({ "id": 5, "method": method, "params": params, "jsonrpc": "2.0" }).to_string();
        methods.answer(body.as_bytes(), NOW, [7; 16], facts)
    }

    /// Somebody who may ask, and his token.
    fn admitted() -> (Methods, String) {
        let mut methods = Methods::new("secret".to_owned());
        let answer = ask(&mut methods, "Authenticate", json!({ "API": 1, "Password": "secret" })).body;
        let token = answer.pointer("/result/Token").and_then(Value::as_str).unwrap().to_owned();
        assert_eq!(answer, json!({ "id": 5, "result": { "API": 1, "Token": token }, "jsonrpc": "2.0" }));
        (methods, token)
    }

    fn code(answer: &Answer) -> i64 {
        answer.body.pointer("/error/code").and_then(Value::as_i64).unwrap_or_default()
    }

    #[test]
    fn whoever_has_no_password_learns_nothing() {
        let (mut methods, token) = admitted();
        for (method, params, expected) in [
            ("Authenticate", json!({ "API": 1, "Password": "wrong" }), -32001),
            ("Authenticate", json!({ "API": 1 }), -32001),
            ("Authenticate", json!({ "Password": "secret" }), -32005),
            ("Authenticate", json!({ "API": 2, "Password": "secret" }), -32006),
            ("RouterInfo", json!({ "i2p.router.uptime": null }), -32002),
            ("RouterInfo", json!({ "Token": "other" }), -32003),
            ("RouterManager", json!({ "Token": "", "Shutdown": null }), -32003),
            ("Nothing", json!({ "Token": token }), -32601),
            ("RouterInfo", json!([1]), -32602),
        ] {
            let answer = ask(&mut methods, method, params);
            assert_eq!((code(&answer), answer.order), (expected, None), "{method}: {}", answer.body);
            assert_eq!(answer.wrong, expected == -32001);
        }
        let body = json!({ "id": 1, "method": "Echo", "params": { "Token": token, "Echo": "x" } }).to_string();
        let late = methods.answer(body.as_bytes(), NOW + LIFETIME, [7; 16], facts);
        assert_eq!(code(&late), -32004);
        assert_eq!(code(&methods.answer(b"{", NOW, [7; 16], facts)), -32700);
        assert_eq!(code(&methods.answer(b"[]", NOW, [7; 16], facts)), -32600);
    }

    #[test]
    fn what_is_known_of_the_router_is_told_and_other_keys_are_left_out() {
        let (mut methods, token) = admitted();
        let keys = json!({
            "Token": token, "i2p.router.uptime": null, "i2p.router.version": "", "i2p.router.status": null,
            "i2p.router.netdb.knownpeers": null, "i2p.router.netdb.activepeers": null, "i2p.router.nothing": null,
            "i2p.router.net.bw.inbound.1s": null, "i2p.router.net.bw.outbound.15s": null, "i2p.router.net.status": null,
            "i2p.router.net.tunnels.participating": null, "i2p.router.net.tunnels.successrate": null,
            "i2p.router.net.total.received.bytes": null, "i2p.router.net.status.v6": null,
        });
        let answer = ask(&mut methods, "RouterInfo", keys).body;
        let expected = json!({
            "i2p.router.uptime": 7000, "i2p.router.version": "9", "i2p.router.status": "1",
            "i2p.router.netdb.knownpeers": 60, "i2p.router.netdb.activepeers": 4,
            "i2p.router.net.bw.inbound.1s": 1.5, "i2p.router.net.bw.outbound.15s": 2.0, "i2p.router.net.status": 0,
            "i2p.router.net.tunnels.participating": 4, "i2p.router.net.tunnels.successrate": 75,
            "i2p.router.net.total.received.bytes": 5, "i2p.router.net.status.v6": 1,
        });
        assert_eq!(answer.get("result"), Some(&expected));
        let limits = json!({ "Token": token, "i2p.router.net.bw.in": null, "i2p.router.net.bw.out": null });
        let limits = ask(&mut methods, "NetworkSetting", limits).body;
        assert_eq!(
            limits.get("result"),
            Some(&json!({ "i2p.router.net.bw.in": 25_000, "i2p.router.net.bw.out": 1000 }))
        );
        let set = ask(&mut methods, "NetworkSetting", json!({ "Token": token, "i2p.router.net.bw.in": "64" }));
        assert_eq!(code(&set), -32602);
        let services = ask(&mut methods, "ClientServicesInfo", json!({ "Token": token, "SAM": null })).body;
        assert_eq!(services.get("result"), Some(&json!({ "SAM": { "enabled": true } })));
        let echo = ask(&mut methods, "Echo", json!({ "Token": token, "Echo": "x" })).body;
        assert_eq!(echo.get("result"), Some(&json!({ "Result": "x" })));
    }

    #[test]
    fn the_router_is_ended_and_the_password_changed_by_whoever_may() {
        let (mut methods, token) = admitted();
        for (key, order) in [("Shutdown", Order::Shutdown), ("ShutdownGraceful", Order::ShutdownGraceful)] {
            let answer = ask(&mut methods, "RouterManager", json!({ "Token": token, key: null }));
            assert_eq!((answer.order, answer.body.get("result")), (Some(order), Some(&json!({ key: null }))));
        }
        ask(&mut methods, "I2PControl", json!({ "Token": token, "i2pcontrol.password": "other" }));
        assert_eq!(code(&ask(&mut methods, "Echo", json!({ "Token": token, "Echo": "x" }))), -32003);
        assert!(ask(&mut methods, "Authenticate", json!({ "API": 1, "Password": "secret" })).wrong);
        assert_eq!(code(&ask(&mut methods, "Authenticate", json!({ "API": "1", "Password": "other" }))), 0);
    }

    proptest! {
        #[test]
        fn nothing_panics_and_nobody_is_let_in(body in prop::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,60}") {
            let mut methods = Methods::new("secret".to_owned());
            for body in [body, json!({ "method": "Authenticate", "params": { "API": 1, "Password": text } }).to_string().into()] {
                let answer = methods.answer(&body, NOW, [7; 16], facts);
                prop_assert!(answer.body.get("error").is_some() && answer.order.is_none());
            }
        }
    }
}
