//! The log: to standard error, at the configured level, and never a flood.
//!
//! On a terminal it has colours, in a file or a pipe it is plain, and under systemd each line begins with its priority, as
//! the journal wants it (`journalctl -p err`).
//!
//! Whatever peers do, one place in the code writes at most [`BURST`] lines a minute; what is left out is counted
//! in the metrics. The last warnings and errors are kept for `ramson status`.

use crate::Failure;
use crate::exporter::table;
use crate::platform;
use std::collections::{HashMap, VecDeque};
use std::fmt::{self, Write};
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::{self, Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

/// Lines of one place in the code in one [`SPAN`].
const BURST: u32 = 20;
const SPAN: Duration = Duration::from_secs(60);

/// Warnings and errors that are kept.
const RECENT: usize = 20;

/// The filter of the log that runs, to be changed.
#[derive(Clone, Debug)]
pub(crate) struct Filter(reload::Handle<EnvFilter, Registry>);

impl Filter {
    /// Puts another level in force.
    ///
    /// # Errors
    /// If it is no filter; the former one stays.
    pub(crate) fn set(&self, level: &str) -> Result<(), Failure> {
        Ok(self.0.reload(filter(level)?)?)
    }
}

/// A filter from what was written, which may have spaces between its parts. What the exporter's library says of its own
/// beginning and end is left out unless it is asked for.
///
/// # Errors
/// If it is none.
pub(crate) fn filter(level: &str) -> Result<EnvFilter, Failure> {
    let mut level = level.replace(' ', "");
    if !level.contains("actix_server") && !level.eq_ignore_ascii_case("off") {
        level += ",actix_server=error";
    }
    Ok(EnvFilter::try_new(level)?)
}

/// Whom the lines are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    /// Somebody before a screen.
    Terminal,
    /// A file, or another program.
    File,
    /// The journal of systemd, which has a clock of its own.
    Journal,
}

impl Reader {
    /// By what standard error is. `NO_COLOR` takes the colours from a terminal.
    fn find() -> Self {
        if is_journal() {
            Self::Journal
        } else if std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) {
            Self::Terminal
        } else {
            Self::File
        }
    }
}

/// Whether standard error is the stream that systemd says leads to the journal.
fn is_journal() -> bool {
    let Some(stream) = std::env::var("JOURNAL_STREAM").ok() else { return false };
    let Ok(about) = std::fs::metadata("/proc/self/fd/2") else { return false };
    platform::device_and_number(&about).is_some_and(|(device, number)| stream == format!("{device}:{number}"))
}

/// Begins to log.
///
/// # Errors
/// If the level is no filter, or a log runs already.
pub(crate) fn start(level: &str) -> Result<Filter, Failure> {
    let (filter, handle) = reload::Layer::new(filter(level)?);
    let registry = tracing_subscriber::registry().with(filter).with(Count);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match Reader::find() {
        Reader::Terminal => registry.with(lines.with_filter(RateLimit::default())).try_init()?,
        Reader::File => registry.with(lines.with_ansi(false).with_filter(RateLimit::default())).try_init()?,
        Reader::Journal => {
            registry
                .with(lines.with_ansi(false).event_format(Priority::new()).with_filter(RateLimit::default()))
                .try_init()?;
        }
    }
    Ok(Filter(handle))
}

/// Lines without time and level, which begin with the priority.
struct Priority(Format<Full, ()>);

impl Priority {
    fn new() -> Self {
        Self(Format::default().without_time().with_level(false).with_ansi(false))
    }
}

impl<S, N> FormatEvent<S, N> for Priority
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        // sd-daemon(3): the numbers of syslog.
        let priority = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        write!(out, "<{priority}>")?;
        self.0.format_event(context, out, event)
    }
}

/// A warning or an error that was written.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// When.
    pub(crate) at: SystemTime,
    /// `warn` or `error`.
    pub(crate) level: &'static str,
    /// What it said.
    pub(crate) text: String,
}

static KEPT: Mutex<VecDeque<Line>> = Mutex::new(VecDeque::new());

/// The last warnings and errors of this process, the newest last.
pub(crate) fn recent() -> Vec<Line> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
}

/// Counts lines by level, and keeps the last that matter.
struct Count;

impl<S: Subscriber> Layer<S> for Count {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let (level, matters) = match *event.metadata().level() {
            Level::ERROR => ("error", true),
            Level::WARN => ("warn", true),
            Level::INFO => ("info", false),
            Level::DEBUG => ("debug", false),
            Level::TRACE => ("trace", false),
        };
        table::LOG_BY_LEVEL.add([level], 1);
        if matters {
            let mut text = Text::default();
            event.record(&mut text);
            let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
            // One that comes again and again would push all others out.
            kept.retain(|line| line.text != text.0);
            if kept.len() >= RECENT {
                kept.pop_front();
            }
            kept.push_back(Line { at: SystemTime::now(), level, text: text.0 });
        }
    }
}

/// A line's message, and its fields behind it.
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => {
                let fields = std::mem::take(&mut self.0);
                write!(self.0, "{value:?}{fields}")
            }
            name => write!(self.0, " {name}={value:?}"),
        };
    }
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
    fn in_the_journal_a_line_begins_with_its_priority_and_has_no_colours() {
        let sink = Sink::default();
        let writer = sink.clone();
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .event_format(Priority::new());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            tracing::error!(cause = 7, "bad");
            tracing::warn!("so so");
            tracing::info!("good");
        });
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<_> = text.lines().map(|line| line.split_once('>').unwrap()).collect();
        assert_eq!(lines.iter().map(|(priority, _)| *priority).collect::<Vec<_>>(), ["<3", "<4", "<6"]);
        assert!(lines[0].1.ends_with("bad cause=7") && !text.contains('\x1b'), "{text}");
    }

    #[test]
    fn warnings_and_errors_are_kept_once_each() {
        tracing::subscriber::with_default(tracing_subscriber::registry().with(Count), || {
            for _ in 0..100 {
                tracing::warn!(disk = "full", "this comes often");
            }
            tracing::error!("this comes once");
            tracing::info!("this does not matter");
        });
        let kept: Vec<_> = recent().into_iter().map(|line| (line.level, line.text)).collect();
        let of = |text: &str| kept.iter().filter(|(_, kept)| kept.starts_with(text)).count();
        assert_eq!((of("this comes often disk="), of("this comes once"), of("this does not")), (1, 1, 0), "{kept:?}");
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
