//! Requests whose answers are long in coming: the browser shows how far they are meanwhile.
//!
//! ```text
//! GET of a page -> an answer within SHOWN? --yes--> the answer
//!                    | no: the request goes on by itself, the browser gets a page that comes again
//! the same GET ---> the answer to that request, if it comes within SHOWN; the page again, if not
//! ```
//! Only what a person has opened is answered so: programs, pictures and forms wait for the answer itself.

use super::answer::Answer;
use super::pages::Problem;
use hyper::header::{
    HeaderMap, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
    UPGRADE_INSECURE_REQUESTS,
};
use hyper::{Method, Request};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::future::Future;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

/// A browser waits so long for an answer before it is shown how far it is: a site that is up answers within this, as a rule.
const SHOWN: Duration = Duration::from_secs(4);

/// Requests that go on by themselves, at most; those that were looked after the longest ago give way.
const MOST: usize = 32;

/// One that no browser has looked after for so long is given up.
const LEFT: Duration = Duration::from_secs(30);

/// The requests of one destination.
#[derive(Default)]
pub(super) struct Waiting(Mutex<VecDeque<Begun>>);

/// A request that has been begun. Without it the request ends.
struct Begun {
    url: String,
    since: Instant,
    looked: Instant,
    task: AbortOnDropHandle<Result<Answer, Problem>>,
}

/// True if this is the page that somebody has opened, and whole. INTEROP: browsers write that header when they go to a page over HTTP, and
/// not for what is in it.
pub(super) fn is_for_a_person<B>(request: &Request<B>) -> bool {
    const PARTS: [HeaderName; 6] = [IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE];
    let headers: &HeaderMap = request.headers();
    request.method() == Method::GET
        && headers.contains_key(UPGRADE_INSECURE_REQUESTS)
        && PARTS.iter().all(|part| !headers.contains_key(part))
}

impl Waiting {
    /// The answer to a request for this URL, which may have been begun before; or since when it is waited for.
    ///
    /// # Errors
    /// Why there will be no answer.
    pub(super) async fn answer(
        &self,
        url: &str,
        host: &str,
        request: impl Future<Output = Result<Answer, Problem>> + Send + 'static,
    ) -> Result<Result<Answer, Duration>, Problem> {
        let mut begun = self.take(url).unwrap_or_else(|| Begun {
            url: url.to_owned(),
            since: Instant::now(),
            looked: Instant::now(),
            task: AbortOnDropHandle::new(tokio::spawn(request)),
        });
        let Ok(answer) = timeout(SHOWN, &mut begun.task).await else {
            let waited = begun.since.elapsed();
            self.keep(begun);
            return Ok(Err(waited));
        };
        answer.unwrap_or_else(|_| Err(Problem::Broken(host.to_owned()))).map(Ok)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().len()
    }

    fn take(&self, url: &str) -> Option<Begun> {
        let mut all = self.0.lock();
        all.retain(|begun| begun.looked.elapsed() < LEFT);
        let at = all.iter().position(|begun| begun.url == url)?;
        all.remove(at)
    }

    fn keep(&self, mut begun: Begun) {
        begun.looked = Instant::now();
        let mut all = self.0.lock();
        all.truncate(MOST - 1);
        all.push_front(begun);
    }
}
