//! The thread that applications run on.

use std::future::Future;
use std::io;
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// Runs tasks until it is dropped.
#[derive(Debug)]
pub struct Host {
    handle: tokio::runtime::Handle,
    /// Dropping it ends the thread.
    _alive: watch::Sender<()>,
}

impl Host {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system gives none.
    pub fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (alive, mut over) = watch::channel(());
        std::thread::Builder::new().name("applications".to_owned()).spawn(move || {
            runtime.block_on(async move {
                // The sender is dropped, never used.
                let _ = over.changed().await;
            });
        })?;
        Ok(Self { handle, _alive: alive })
    }

    /// Runs a task on the thread; what is returned ends it earlier.
    pub fn run(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.handle.spawn(task).abort_handle()
    }
}
