//! The ways to the servers of local programs: TCP, UNIX sockets, and TLS with a certificate of this router's.

use crate::data_dir::DataDir;
use crate::reseed::{https, tls};
use ramson_apps::door::Door;
use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Where a server is to listen, beside each other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    pub(crate) tcp: Option<SocketAddr>,
    /// A path, or nothing.
    pub(crate) unix: String,
    pub(crate) tls: Option<SocketAddr>,
}

impl Places {
    /// Whether there are any.
    pub(crate) fn are_some(&self) -> bool {
        self.tcp.is_some() || self.tls.is_some() || !self.unix.is_empty()
    }
}

/// Opens what there is to be of `section`'s. What cannot be opened is said, and the rest is there.
pub(crate) async fn open(section: &str, places: &Places, certificate: &Certificate) -> Vec<Door> {
    let mut doors = Vec::new();
    let mut push = |key: &str, opened: Result<Door, String>, none: &str| match opened {
        Ok(door) => doors.push(door),
        Err(error) => tracing::warn!("{section}.{key} does not listen: {error}; change it, or write {none}"),
    };
    let words = |error: io::Error| error.to_string();
    if let Some(at) = places.tcp {
        push("listen", TcpListener::bind(at).await.map(Door::Tcp).map_err(words), "false");
    }
    if !places.unix.is_empty() {
        push("socket", at(&places.unix).map_err(words), "\"\"");
    }
    if let Some(at) = places.tls {
        let door = match (TcpListener::bind(at).await, certificate.config()) {
            (Ok(listener), Ok(config)) => Ok(Door::Tls(listener, config)),
            (Err(error), _) => Err(words(error)),
            (_, Err(error)) => Err(error),
        };
        push("tls_listen", door, "false");
    }
    doors
}

/// The certificate of this router's local servers, made when it is first needed: `local/https.crt` in the data folder, which programs
/// may be told to trust.
#[derive(Clone, Debug)]
pub(crate) struct Certificate(std::path::PathBuf);

impl Certificate {
    pub(crate) fn of(data: &DataDir) -> Self {
        Self(data.path().join("local"))
    }

    fn config(&self) -> Result<Arc<rustls::ServerConfig>, String> {
        let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let made = https(&self.0, &names).and_then(tls).map_err(|error| error.to_string())?;
        Ok(Arc::new(made))
    }
}

#[cfg(unix)]
fn at(path: &str) -> io::Result<Door> {
    crate::platform::listen(Path::new(path)).map(Door::Unix)
}

#[cfg(not(unix))]
fn at(_: &str) -> io::Result<Door> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_can_be_opened_is() {
        let folder = tempfile::tempdir().unwrap();
        let any = "127.0.0.1:0".parse().ok();
        let unix = folder.path().join("nowhere/socket").to_string_lossy().into_owned();
        let places = Places { tcp: any, unix, tls: any };
        let doors = open("sam", &places, &Certificate(folder.path().join("local"))).await;
        assert!(matches!(doors[..], [Door::Tcp(_), Door::Tls(..)]));
        assert!(folder.path().join("local/https.crt").exists());
    }
}
