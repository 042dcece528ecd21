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
