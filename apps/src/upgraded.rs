//! Connections whose bytes are no HTTP any more.

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

/// Carries bytes between two connections from when both have been upgraded, until both have closed or either breaks.
pub(crate) fn join(one: OnUpgrade, other: OnUpgrade) {
    tokio::spawn(async move {
        if let (Ok(one), Ok(other)) = (one.await, other.await) {
            let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(one), &mut TokioIo::new(other)).await;
        }
    });
}
