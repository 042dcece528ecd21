//! Headers that tell who somebody is, or that are about one connection only.
//!
//! INTEROP: Java I2P and i2pd take the same away and say the same `User-Agent`, so that all their users look alike.

use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, REFERER,
    TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use hyper::{StatusCode, Uri};

/// The coding by which Java's servers compress for the way.
pub(crate) const GZIP: &str = "x-i2p-gzip";

/// What all users of I2P send.
pub(crate) const USER_AGENT_OF_ALL: &str = "MYOB/6.66 (AN/ON)";

pub(crate) const ASK_FOR_GZIP: &str = "x-i2p-gzip;q=1.0, identity;q=0.5, deflate;q=0, gzip;q=0, *;q=0";

/// Taken away from requests, beside those that begin with one of [`REQUEST_PREFIXES`].
const REQUEST: &[&str] = &[
    "device-memory",
    "dnt",
    "downlink",
    "dpr",
    "ect",
    "forwarded",
    "from",
    "keep-alive",
    "priority",
    "rtt",
    "save-data",
    "te",
    "trailer",
    "upgrade-insecure-requests",
    "via",
    "viewport-width",
    "width",
];

const REQUEST_PREFIXES: &[&str] = &["accept-", "proxy-", "sec-ch-", "sec-fetch-", "sec-gpc", "x-forwarded", "x-i2p-"];

/// Taken away from answers: what is about a connection, or would make the browser call somebody outside.
const RESPONSE: &[&str] =
    &["alt-svc", "keep-alive", "nel", "report-to", "reporting-endpoints", "strict-transport-security"];

/// True if the browser wants to speak another protocol on this connection.
pub(super) fn asks_for_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(UPGRADE) && named_by_connection(headers).iter().any(|name| name == "upgrade")
}

/// Makes a request like that of everybody.
pub(super) fn request(headers: &mut HeaderMap, host: &str, port: u16, upgrades: bool) {
    let (named, upgrade) = (named_by_connection(headers), headers.get(UPGRADE).cloned());
    let accept = headers.get(ACCEPT).map(like_others);
    let referer = headers.get(REFERER).and_then(|value| path_on(host, port, value.to_str().ok()?));
    let gone: Vec<HeaderName> = headers
        .keys()
        .filter(|name| {
            let name = name.as_str();
            let known = REQUEST.contains(&name) || REQUEST_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
            known && name != ACCEPT_ENCODING.as_str() || named.iter().any(|other| other == name)
        })
        .cloned()
        .collect();
    gone.iter().chain(&[CONNECTION, UPGRADE, EXPECT, TRANSFER_ENCODING, ACCEPT, REFERER, HOST]).for_each(|name| {
        headers.remove(name);
    });
    let windows = |value: &HeaderValue| {
        let scheme = value.to_str().unwrap_or_default().split(' ').next().unwrap_or_default().to_ascii_lowercase();
        // These name the machine or its user.
        scheme == "ntlm" || scheme == "negotiate"
    };
    if headers.get(AUTHORIZATION).is_some_and(windows) {
        headers.remove(AUTHORIZATION);
    }
    if headers.get("x-requested-with").is_some_and(|value| value != "XMLHttpRequest") {
        headers.remove("x-requested-with");
    }
    headers.insert(USER_AGENT, HeaderValue::from_static(USER_AGENT_OF_ALL));
    headers.insert("x-accept-encoding", HeaderValue::from_static(ASK_FOR_GZIP));
    let mut put = |name, value: Option<HeaderValue>| value.map(|value| headers.insert(name, value));
    let authority = if port == 80 { host.to_owned() } else { format!("{host}:{port}") };
    put(HOST, HeaderValue::from_str(&authority).ok());
    put(ACCEPT, accept);
    put(REFERER, referer);
    if upgrades {
        put(UPGRADE, upgrade);
        put(CONNECTION, Some(HeaderValue::from_static("Upgrade")));
    }
}

/// Takes from an answer what is not for the browser.
pub(super) fn response(headers: &mut HeaderMap, status: StatusCode) {
    let keep = status == StatusCode::SWITCHING_PROTOCOLS;
    let named = named_by_connection(headers);
    let gone: Vec<HeaderName> = headers
        .keys()
        .filter(|name| {
            let name = name.as_str();
            let hop = name == CONNECTION.as_str() || named.iter().any(|other| other == name);
            RESPONSE.contains(&name) || name.starts_with("proxy-") || hop && !keep
        })
        .cloned()
        .collect();
    gone.iter().for_each(|name| {
        headers.remove(name);
    });
}

/// The headers that are about this connection only, as the message says.
fn named_by_connection(headers: &HeaderMap) -> Vec<String> {
    let all = headers.get_all(CONNECTION).into_iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(',')).map(|name| name.trim().to_ascii_lowercase()).collect()
}

/// One of few forms of `Accept`; programs that ask for something of their own get it.
fn like_others(value: &HeaderValue) -> HeaderValue {
    let text = value.to_str().unwrap_or_default();
    HeaderValue::from_static(match text.split([',', ';']).next().unwrap_or_default().trim() {
        "text/html" | "application/xhtml+xml" => "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "text/css" => "text/css,*/*;q=0.1",
        "application/json" => "application/json, */*;q=0.5",
        "text/event-stream" => "text/event-stream",
        kind if kind.starts_with("image/") => "image/*,*/*;q=0.5",
        _ => "*/*",
    })
}

/// The path of a `Referer` on the same site; one of another site is nobody's business.
fn path_on(host: &str, port: u16, referer: &str) -> Option<HeaderValue> {
    let uri: Uri = referer.parse().ok()?;
    let same = uri.scheme_str() == Some("http")
        && uri.host().is_some_and(|other| other.eq_ignore_ascii_case(host))
        && uri.port_u16().unwrap_or(80) == port;
    same.then(|| HeaderValue::from_str(uri.path_and_query()?.as_str()).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&str, &str)]) -> HeaderMap {
        all.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_request_tells_nothing_of_the_browser() {
        let mut all = headers(&[
            ("host", "wrong.i2p"),
            ("user-agent", "Mozilla/5.0"),
            ("accept", "image/avif,image/webp,*/*"),
            ("accept-language", "de"),
            ("accept-encoding", "gzip, br"),
            ("via", "1.1 me"),
            ("from", "me@example.com"),
            ("x-forwarded-for", "192.0.2.1"),
            ("proxy-authorization", "Basic x"),
            ("connection", "keep-alive, x-mine"),
            ("x-mine", "1"),
            ("keep-alive", "300"),
            ("sec-ch-ua", "x"),
            ("sec-fetch-site", "none"),
            ("dnt", "1"),
            ("referer", "http://other.i2p/secret"),
            ("authorization", "NTLM TlRM"),
            ("cookie", "a=b"),
            ("x-i2p-desthash", "forged"),
            ("transfer-encoding", "chunked"),
            ("range", "bytes=5-"),
            ("te", "trailers"),
            ("x-requested-with", "com.example.browser"),
        ]);
        request(&mut all, "example.i2p", 8080, false);
        let expected = headers(&[
            ("host", "example.i2p:8080"),
            ("user-agent", USER_AGENT_OF_ALL),
            ("accept", "image/*,*/*;q=0.5"),
            ("accept-encoding", "gzip, br"),
            ("cookie", "a=b"),
            ("range", "bytes=5-"),
            ("x-accept-encoding", ASK_FOR_GZIP),
        ]);
        assert_eq!(all, expected);
    }

    #[test]
    fn a_referer_of_the_same_site_loses_its_host_and_an_upgrade_stays() {
        let mut all = headers(&[
            ("referer", "http://Example.i2p/a?b"),
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-key", "x"),
            ("authorization", "Basic eA=="),
            ("x-requested-with", "XMLHttpRequest"),
        ]);
        assert!(asks_for_upgrade(&all));
        request(&mut all, "example.i2p", 80, true);
        for (name, value) in [
            ("referer", "/a?b"),
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-key", "x"),
            ("authorization", "Basic eA=="),
            ("x-requested-with", "XMLHttpRequest"),
            ("host", "example.i2p"),
        ] {
            assert_eq!(all.get(name).unwrap(), value, "{name}");
        }
        assert!(!asks_for_upgrade(&headers(&[("upgrade", "h2c")])));
    }

    #[test]
    fn an_answer_leads_nobody_outside() {
        let mut all = headers(&[
            ("alt-svc", "h3=\":443\""),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("proxy-authenticate", "Basic"),
            ("set-cookie", "a=b"),
            ("strict-transport-security", "max-age=1"),
            ("content-length", "5"),
        ]);
        response(&mut all, StatusCode::OK);
        assert_eq!(all, headers(&[("set-cookie", "a=b"), ("content-length", "5")]));
    }
}
