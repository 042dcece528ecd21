//! What a browser asks, and whether it is for us at all.

use super::pages::Problem;
use hyper::{Method, Request};
use std::net::IpAddr;

/// The parameter of an address helper.
const HELPER: &str = "i2paddresshelper";

/// A request for a host.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// In lower case.
    pub(super) host: String,
    pub(super) port: u16,
    /// The host is not one of I2P.
    pub(super) outside: bool,
    /// Path and query, without the helper.
    pub(super) path: String,
    /// What the helper says, if there is one.
    pub(super) helper: Option<String>,
    /// The whole URL without the helper.
    pub(super) without_helper: String,
}

impl Asked {
    /// Judges a request by its first line.
    pub(super) fn of<B>(request: &Request<B>) -> Result<Self, Problem> {
        let (uri, connect) = (request.uri(), request.method() == Method::CONNECT);
        let Some(authority) = uri.authority() else { return Err(Problem::NoProxyRequest) };
        let default_port = match uri.scheme_str() {
            None if connect => 443,
            Some("http") if !connect => 80,
            _ => return Err(Problem::Scheme(uri.scheme_str().unwrap_or_default().to_owned())),
        };
        if authority.as_str().contains('@') {
            return Err(Problem::Uri);
        }
        let host = authority.host().trim_end_matches('.').to_ascii_lowercase();
        let port = match authority.port() {
            None if authority.as_str() == authority.host() => default_port,
            // Something stands where a port should.
            None => return Err(Problem::Uri),
            Some(port) => port.as_str().parse().ok().filter(|port| *port != 0).ok_or(Problem::Uri)?,
        };
        let outside = is_outside(&host)?;
        let (path, helper) = split_helper(uri.path(), uri.query());
        let shown = if port == default_port { host.clone() } else { format!("{host}:{port}") };
        Ok(Self { without_helper: format!("http://{shown}{path}"), host, port, outside, path, helper })
    }
}

/// Whether a host is outside of I2P. Where no outproxy may lead, either, nobody goes.
fn is_outside(host: &str) -> Result<bool, Problem> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<IpAddr>().is_ok() || host == "localhost" || host.ends_with(".localhost") {
        return Err(Problem::Local(host.to_owned()));
    }
    Ok(!host.ends_with(".i2p") && !host.ends_with(".i2p.alt"))
}

/// Takes the helper out of a query.
fn split_helper(path: &str, query: Option<&str>) -> (String, Option<String>) {
    let path = if path.is_empty() { "/" } else { path };
    let Some(query) = query else { return (path.to_owned(), None) };
    let mut helper = None;
    let rest: Vec<&str> = query
        .split('&')
        .filter(|pair| match pair.split_once('=') {
            Some((key, value)) if key.eq_ignore_ascii_case(HELPER) => {
                helper.get_or_insert_with(|| {
                    value.replace("%3D", "=").replace("%3d", "=").replace("%7E", "~").replace("%7e", "~")
                });
                false
            }
            _ => true,
        })
        .collect();
    // A query that was only the helper goes with it; an empty one that the user wrote stays.
    if rest.is_empty() && helper.is_some() {
        (path.to_owned(), helper)
    } else {
        (format!("{path}?{}", rest.join("&")), helper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: &str, uri: &str) -> Result<Asked, Problem> {
        Asked::of(&Request::builder().method(method).uri(uri).body(()).unwrap())
    }

    #[test]
    fn host_port_path_and_helper_are_told_apart() {
        for (uri, host, port, path, helper, without) in [
            ("http://Example.I2P/a?b=c", "example.i2p", 80, "/a?b=c", None, "http://example.i2p/a?b=c"),
            ("http://example.i2p:8080", "example.i2p", 8080, "/", None, "http://example.i2p:8080/"),
            ("http://example.i2p./?", "example.i2p", 80, "/?", None, "http://example.i2p/?"),
            ("http://example.i2p/?i2paddresshelper=AA%3D", "example.i2p", 80, "/", Some("AA="), "http://example.i2p/"),
            ("http://e.i2p/?x=1&i2paddresshelper=A&y=2", "e.i2p", 80, "/?x=1&y=2", Some("A"), "http://e.i2p/?x=1&y=2"),
        ] {
            let asked = of("GET", uri).unwrap();
            assert_eq!((asked.host.as_str(), asked.port, asked.path.as_str()), (host, port, path), "{uri}");
            assert_eq!((asked.helper.as_deref(), asked.without_helper.as_str()), (helper, without), "{uri}");
        }
        let tunnel = of("CONNECT", "example.i2p:443").unwrap();
        assert_eq!((tunnel.host.as_str(), tunnel.port), ("example.i2p", 443));
    }

    #[test]
    fn what_is_not_for_i2p_is_refused() {
        let label = |method: &str, uri: &str| of(method, uri).unwrap_err().label();
        assert_eq!(label("GET", "/index.html"), "no_proxy_request");
        assert_eq!(label("OPTIONS", "*"), "no_proxy_request");
        assert_eq!(label("GET", "https://example.i2p/"), "scheme");
        assert_eq!(label("GET", "ftp://example.i2p/"), "scheme");
        assert_eq!(label("GET", "http://user:password@example.i2p/"), "uri");
        assert_eq!(label("GET", "http://example.i2p:0/"), "uri");
        assert_eq!(label("GET", "http://example.i2p:99999/"), "uri");
        for local in ["127.0.0.1", "[::1]", "10.0.0.1:80", "localhost", "a.localhost:7657", "192.0.2.1"] {
            assert_eq!(label("GET", &format!("http://{local}/")), "local", "{local}");
        }
        for clearnet in ["example.com", "i2p", "example.i2p.com", "examplei2p"] {
            assert!(of("GET", &format!("http://{clearnet}/")).unwrap().outside, "{clearnet}");
        }
        assert!(of("CONNECT", "example.com:443").unwrap().outside);
        assert!(!of("CONNECT", "example.i2p:443").unwrap().outside);
    }
}
