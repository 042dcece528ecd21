//! Pages at `proxy.i2p`: what the user answers to the proxy.
//!
//! ```text
//! GET /                              says that the browser uses the proxy
//! POST /helper?token=..&do=keep      the name is entered, and the browser goes on
//! POST /helper?token=..&do=replace   the same, in place of another destination
//! POST /helper?token=..&do=once      the browser goes to the address itself
//! ```

use super::answer::{self, Answer};
use super::helper::Pending;
use super::pages::{self, Problem};
use crate::names::book::{Book, BookError, Shelf};
use hyper::header::{HeaderValue, LOCATION};
use hyper::{Method, Request, StatusCode};
use ramson_transports::clock::Clock;

/// The host that is the proxy itself.
pub(super) const HOST: &str = "proxy.i2p";

pub(super) fn answer<B>(request: &Request<B>, book: &Book, pending: &Pending) -> Result<Answer, Problem> {
    if request.method() == Method::GET && request.uri().path() == "/" {
        return Ok(pages::home());
    }
    if request.method() != Method::POST || request.uri().path() != "/helper" {
        return Err(Problem::NoPage);
    }
    let query = request.uri().query().unwrap_or_default();
    let value = |key| query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
    let question = value("token").and_then(|token| pending.take(token)).ok_or(Problem::Token)?;
    let url = match value("do") {
        Some("once") => question.url.replacen(question.name.as_str(), &question.helper.address.to_string(), 1),
        Some(action @ ("keep" | "replace")) => {
            let destination = question.helper.destination.ok_or(Problem::Token)?;
            match book.add(Shelf::User, &question.name, destination, action == "replace", Clock::system()) {
                // Meanwhile somebody else has entered it: the user is to see that.
                Ok(()) | Err(BookError::Taken(_)) => question.url,
                Err(error) => return Err(error.into()),
            }
        }
        _ => return Err(Problem::NoPage),
    };
    let mut answer = Answer::new(answer::empty());
    *answer.status_mut() = StatusCode::SEE_OTHER;
    answer.headers_mut().insert(LOCATION, HeaderValue::from_str(&url).map_err(|_| Problem::Uri)?);
    Ok(answer)
}
