//! Connections of local programs, each served by a task of its own.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;

/// A listener that cannot accept is asked again after this.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

/// Serves whoever connects, `most` at once: others wait in the kernel's queue. `failed` hears why a connection cannot be taken.
pub(crate) async fn serve<F>(
    listener: TcpListener,
    most: usize,
    failed: impl Fn(io::Error),
    serve: impl Fn(TcpStream) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(most));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((program, _)) => {
                let served = serve(program);
                tokio::spawn(async move {
                    served.await;
                    drop(place);
                });
            }
            Err(error) => {
                failed(error);
                sleep(PAUSE).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn heard(at: SocketAddr) -> String {
        let mut program = TcpStream::connect(at).await.unwrap();
        program.write_all(b"x").await.unwrap();
        let mut heard = String::new();
        program.read_to_string(&mut heard).await.unwrap();
        heard
    }

    #[tokio::test]
    async fn programs_beyond_the_bound_wait_and_are_served_when_others_go() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(serve(
            listener,
            3,
            |_| {},
            async |mut program: TcpStream| {
                let mut byte = [0];
                if program.read_exact(&mut byte).await.is_ok() {
                    let _ = program.write_all(b"served").await;
                }
            },
        ));
        let mut silent = Vec::new();
        for _ in 0..3 {
            silent.push(TcpStream::connect(at).await.unwrap());
        }
        let late = tokio::spawn(heard(at));
        // As long as they say nothing and stay, nobody else has a place.
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        assert!(!late.is_finished());
        silent.pop();
        assert_eq!(late.await.unwrap(), "served");
    }
}
