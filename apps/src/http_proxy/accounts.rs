//! Who may use a proxy: accounts with passwords, by Basic or Digest.
//!
//! ```text
//! request without, or with wrong, Proxy-Authorization --> 407, Proxy-Authenticate
//! Basic   base 64 of user:password
//! Digest  hash of (hash of user:realm:password, nonce, count, cnonce, qop, hash of method:uri)
//! ```
//! The nonce of Digest is the time, with a mark that only this proxy can make: nothing is kept for those who ask.
//! INTEROP: Java I2P's realm and the time that a nonce is good. It knows MD5 as well, which no browser needs any more.
//! spec: RFC 7617, RFC 7616

use hyper::Method;
use ramson_crypto::hash::{hmac_sha256, sha256};
use ramson_protocol::base64;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const REALM: &str = "I2P HTTP Proxy";

/// A nonce is good for so long.
const NONCE_TIME: Duration = Duration::from_secs(3600);

/// How a browser shows that it knows the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// It tells it.
    Basic,
    /// It shows a hash of it.
    Digest,
}

/// Accounts; see the module.
pub struct Accounts {
    scheme: Scheme,
    passwords: BTreeMap<String, String>,
    secret: [u8; 32],
    began: Instant,
}

/// What a browser is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Challenge(pub(super) String);

impl Accounts {
    /// Those with these passwords.
    pub fn new(scheme: Scheme, passwords: BTreeMap<String, String>) -> Self {
        Self { scheme, passwords, secret: rand::random(), began: Instant::now() }
    }

    /// Whose request it is, by its header.
    pub(super) fn who(&self, method: &Method, header: Option<&str>, now: Instant) -> Result<String, Challenge> {
        let (scheme, rest) = header.and_then(|header| header.split_once(' ')).unwrap_or_default();
        let now = now.saturating_duration_since(self.began);
        let mut stale = false;
        let who = match self.scheme {
            Scheme::Basic if scheme.eq_ignore_ascii_case("basic") => basic(rest)
                .filter(|(user, password)| self.passwords.get(user).is_some_and(|right| same(right, password)))
                .map(|(user, _)| user),
            Scheme::Digest if scheme.eq_ignore_ascii_case("digest") => {
                let digest = self.digest(method, &Params::of(rest));
                let good = |(user, nonce): (String, Duration)| {
                    stale = now > nonce + NONCE_TIME;
                    (!stale).then_some(user)
                };
                digest.and_then(good)
            }
            _ => None,
        };
        who.ok_or_else(|| self.challenge(now, stale))
    }

    fn challenge(&self, now: Duration, stale: bool) -> Challenge {
        Challenge(match self.scheme {
            Scheme::Basic => format!("Basic realm=\"{REALM}\""),
            Scheme::Digest => {
                let (nonce, stale) = (self.nonce(now), if stale { ", stale=true" } else { "" });
                format!("Digest realm=\"{REALM}\", nonce=\"{nonce}\", algorithm=SHA-256, qop=\"auth\"{stale}")
            }
        })
    }

    fn nonce(&self, at: Duration) -> String {
        let time = format!("{:016x}", at.as_secs());
        let mark = hmac_sha256(&self.secret, &[time.as_bytes()]);
        format!("{time}{}", hex(&mark[..16]))
    }

    /// Who has made a response, and the time of its nonce. `None` if it is wrong.
    fn digest(&self, method: &Method, params: &Params) -> Option<(String, Duration)> {
        let nonce = params.get("nonce")?;
        let at = Duration::from_secs(u64::from_str_radix(nonce.get(..16)?, 16).ok()?);
        let sha = params.get("algorithm").is_some_and(|algorithm| algorithm.eq_ignore_ascii_case("SHA-256"));
        if !same(&self.nonce(at), nonce) || !sha || params.get("qop")? != "auth" || params.get("realm")? != REALM {
            return None;
        }
        let user = params.get("username")?;
        let password = self.passwords.get(user)?;
        let hash = |text: String| hex(&sha256(&[text.as_bytes()]));
        let ours = hash(format!("{user}:{REALM}:{password}"));
        let what = hash(format!("{method}:{}", params.get("uri")?));
        let (count, cnonce) = (params.get("nc")?, params.get("cnonce")?);
        let right = hash(format!("{ours}:{nonce}:{count}:{cnonce}:auth:{what}"));
        same(&right, &params.get("response")?.to_ascii_lowercase()).then(|| (user.to_owned(), at))
    }
}

/// The user whom a header of Basic names, whatever the password.
pub(super) fn named(header: &str) -> Option<String> {
    let (scheme, rest) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("basic").then(|| basic(rest))?.map(|(user, _)| user)
}

fn basic(text: &str) -> Option<(String, String)> {
    // I2P's base 64 has two characters other than that of all others.
    let text = text.trim().replace('+', "-").replace('/', "~");
    let text = String::from_utf8(base64::decode(&text)?).ok()?;
    text.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}

/// True if both are the same, in a time that does not tell where they differ.
fn same(one: &str, other: &str) -> bool {
    sha256(&[one.as_bytes()]) == sha256(&[other.as_bytes()])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `key=value` and `key="value"`, separated by commas.
struct Params<'a>(Vec<(&'a str, String)>);

impl<'a> Params<'a> {
    fn of(mut text: &'a str) -> Self {
        let mut all = Vec::new();
        while let Some((key, rest)) = text.split_once('=') {
            let (value, rest) = match rest.strip_prefix('"') {
                Some(rest) => quoted(rest),
                None => {
                    rest.split_once(',').map_or((rest.trim().to_owned(), ""), |(v, rest)| (v.trim().to_owned(), rest))
                }
            };
            all.push((key.trim_matches([',', ' ']), value));
            text = rest;
        }
        Self(all)
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other.eq_ignore_ascii_case(key)).map(|(_, value)| value.as_str())
    }
}

/// What stands before the closing quote, and what is behind it.
fn quoted(text: &str) -> (String, &str) {
    let (mut value, mut escaped) = (String::new(), false);
    for (at, c) in text.char_indices() {
        match c {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return (value, &text[at + 1..]),
            _ => {
                value.push(c);
                escaped = false;
            }
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn accounts(scheme: Scheme) -> Accounts {
        Accounts::new(scheme, [("me".to_owned(), "se:cret".to_owned())].into())
    }

    /// What a browser answers to a challenge.
    fn answer(challenge: &str, user: &str, password: &str, method: &str) -> String {
        let params = Params::of(challenge.strip_prefix("Digest ").unwrap());
        let hash = |text: String| hex(&sha256(&[text.as_bytes()]));
        let (realm, nonce) = (params.get("realm").unwrap(), params.get("nonce").unwrap());
        let (ours, what) = (hash(format!("{user}:{realm}:{password}")), hash(format!("{method}:/")));
        let response = hash(format!("{ours}:{nonce}:00000001:c:auth:{what}"));
        format!(
            "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"/\", algorithm=SHA-256, \
             response=\"{response}\", qop=auth, nc=00000001, cnonce=\"c\""
        )
    }

    #[test]
    fn a_password_that_is_told_is_right_or_asked_for_again() {
        let accounts = accounts(Scheme::Basic);
        let who = |header| accounts.who(&Method::GET, header, Instant::now());
        assert_eq!(who(Some("basic bWU6c2U6Y3JldA==")), Ok("me".to_owned()));
        for wrong in [None, Some("Basic bWU6"), Some("Basic !"), Some("Basic"), Some("Digest username=\"me\"")] {
            assert_eq!(who(wrong), Err(Challenge(format!("Basic realm=\"{REALM}\""))), "{wrong:?}");
        }
        assert_eq!(named("Basic bWU6c2U6Y3JldA==").as_deref(), Some("me"));
    }

    #[test]
    fn a_hash_shows_the_password_for_the_time_of_its_nonce() {
        let (accounts, now) = (accounts(Scheme::Digest), Instant::now());
        let Challenge(asked) = accounts.who(&Method::GET, None, now).unwrap_err();
        let right = answer(&asked, "me", "se:cret", "GET");
        assert_eq!(accounts.who(&Method::GET, Some(&right), now), Ok("me".to_owned()));
        for wrong in [
            answer(&asked, "me", "other", "GET"),
            answer(&asked, "you", "se:cret", "GET"),
            answer(&asked, "me", "se:cret", "POST"),
            right.replace("nonce=\"0", "nonce=\"1"),
            right.replace("SHA-256", "MD5"),
        ] {
            let Challenge(again) = accounts.who(&Method::GET, Some(&wrong), now).unwrap_err();
            assert!(!again.contains("stale"), "{wrong}");
        }
        let later = now + NONCE_TIME + Duration::from_secs(2);
        let Challenge(again) = accounts.who(&Method::GET, Some(&right), later).unwrap_err();
        assert!(again.contains("stale=true"));
        let anew = answer(&again, "me", "se:cret", "GET");
        assert_eq!(accounts.who(&Method::GET, Some(&anew), later), Ok("me".to_owned()));
    }

    proptest! {
        #[test]
        fn whatever_a_browser_says_is_right_or_wrong(text in "(Basic|Digest) (\\PC{0,30}|(username|nonce|qop|nc|uri)=\"?\\PC{0,20}){0,4}") {
            for scheme in [Scheme::Basic, Scheme::Digest] {
                prop_assert!(accounts(scheme).who(&Method::GET, Some(&text), Instant::now()).is_err());
            }
        }
    }
}
