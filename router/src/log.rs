//! The log: to standard error, at the configured level, and never a flood.
//!
//! Whatever peers do, one place in the code writes at most [`BURST`] lines a minute; what is left out is counted
//! in the metrics.

use crate::Failure;
use crate::exporter::table;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracing::callsite::Identifier;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{self, Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

/// Lines of one place in the code in one [`SPAN`].
const BURST: u32 = 20;
const SPAN: Duration = Duration::from_secs(60);

/// The filter of the log that runs, to be changed.
#[derive(Clone, Debug)]
pub(crate) struct Filter(reload::Handle<EnvFilter, Registry>);

impl Filter {
    /// Puts another level in force.
    ///
    /// # Errors
    /// If it is no filter; the former one stays.
    pub(crate) fn set(&self, level: &str) -> Result<(), Failure> {
        Ok(self.0.reload(EnvFilter::try_new(level)?)?)
    }
}

/// Begins to log.
///
/// # Errors
/// If the level is no filter, or a log runs already.
pub(crate) fn start(level: &str) -> Result<Filter, Failure> {
    let (filter, handle) = reload::Layer::new(EnvFilter::try_new(level)?);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_filter(RateLimit::default());
    tracing_subscriber::registry().with(filter).with(lines).try_init()?;
    Ok(Filter(handle))
}

/// Counts lines by the place in the code that writes them. There are only as many of those as the code has.
#[derive(Default)]
struct RateLimit(Mutex<HashMap<Identifier, Place>>);

struct Place {
    since: Instant,
    lines: u32,
}

impl RateLimit {
    fn admits(&self, place: Identifier, now: Instant) -> bool {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = places.entry(place).or_insert(Place { since: now, lines: 0 });
        if now.duration_since(place.since) >= SPAN {
            let left_out = place.lines.saturating_sub(BURST);
            if left_out > 0 {
                table::LOG_LINES.add([], u64::from(left_out));
            }
            *place = Place { since: now, lines: 0 };
        }
        place.lines += 1;
        place.lines <= BURST
    }
}

impl<S: Subscriber> layer::Filter<S> for RateLimit {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        self.admits(event.metadata().callsite(), Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::Arc;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn one_place_in_the_code_cannot_flood_the_log_and_others_still_speak() {
        let sink = Sink::default();
        let writer = sink.clone();
        let lines =
            tracing_subscriber::fmt::layer().with_writer(move || writer.clone()).with_filter(RateLimit::default());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            for _ in 0..1000 {
                tracing::info!("flood");
            }
            tracing::info!("other");
        });
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.matches("flood").count(), BURST as usize);
        assert_eq!(text.matches("other").count(), 1);
    }
}
