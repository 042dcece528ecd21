//! A folder as a site.
//!
//! ```text
//! GET /a/b --> is that within the folder, links followed, and not hidden? --> file, range, "not modified", index.html
//!                  | no, or there is none
//!                  '--> index.html of a program that knows its own paths (spa), else 404.html if there is one, else 404
//! ```
//! What a link leads to outside of the folder is not there for visitors, nor is what begins with a dot, but `.well-known`.

use super::{Body, refusal};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use std::io;
use std::io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};
use std::path::{Component, Path, PathBuf};
use tower_http::services::{ServeDir, ServeFile};

/// What is shown for a folder.
const INDEX: &str = "index.html";

/// What is shown for what is not there.
const NOT_FOUND: &str = "404.html";

/// A folder, with all links on the way to it followed.
#[derive(Clone, Debug)]
pub(super) struct Files {
    root: PathBuf,
    /// What is not there is the index's matter.
    spa: bool,
}

impl Files {
    /// # Errors
    /// If there is no such folder.
    pub(super) fn open(folder: &Path, spa: bool) -> io::Result<Self> {
        let root = folder.canonicalize()?;
        if root.is_dir() { Ok(Self { root, spa }) } else { Err(NotADirectory.into()) }
    }

    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut answer = refusal(StatusCode::METHOD_NOT_ALLOWED);
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        let (head, _) = request.into_parts();
        let plain = || {
            let mut request = Request::new(Empty::<bytes::Bytes>::new());
            (*request.method_mut(), *request.uri_mut()) = (head.method.clone(), head.uri.clone());
            request
        };
        if self.shows(head.uri.path()).await {
            let mut request = plain();
            request.headers_mut().clone_from(&head.headers);
            match ServeDir::new(&self.root).try_call(request).await {
                Ok(answer) if answer.status() != StatusCode::NOT_FOUND => return answer.map(boxed),
                Ok(_) => {}
                Err(error) if matches!(error.kind(), NotFound | NotADirectory | InvalidFilename) => {}
                Err(error) => {
                    tracing::warn!(%error, "a file of a site cannot be read");
                    return refusal(StatusCode::INTERNAL_SERVER_ERROR);
                }
            }
        }
        let page = self.root.join(if self.spa { INDEX } else { NOT_FOUND });
        match ServeFile::new(page).try_call(plain()).await {
            Ok(mut answer) if answer.status() == StatusCode::OK => {
                if !self.spa {
                    *answer.status_mut() = StatusCode::NOT_FOUND;
                }
                answer.map(boxed)
            }
            _ => refusal(StatusCode::NOT_FOUND),
        }
    }

    /// Whether visitors may see what is at this path, if anything is.
    async fn shows(&self, path: &str) -> bool {
        let Ok(path) = percent_decode_str(path).decode_utf8() else { return false };
        let mut whole = self.root.clone();
        for part in Path::new(path.trim_start_matches('/')).components() {
            let Component::Normal(name) = part else { return false };
            let hidden = name.as_encoded_bytes().starts_with(b".") && name != ".well-known";
            if hidden || name.as_encoded_bytes().contains(&0) {
                return false;
            }
            whole.push(name);
        }
        // The index of a folder may be a link, too.
        for path in [whole.join(INDEX), whole] {
            match tokio::fs::canonicalize(&path).await {
                Ok(real) if !real.starts_with(&self.root) => return false,
                _ => {}
            }
        }
        true
    }
}

fn boxed<B>(body: B) -> Body
where
    B: hyper::body::Body<Data = bytes::Bytes, Error = io::Error> + Send + 'static,
{
    body.map_err(Into::into).boxed_unsync()
}
