//! `ramson bans`: who is banned, and the operator's word on it.

use crate::Failure;
use crate::cli::BansCommand;
use crate::control::{Banned, Request, ask};
use crate::output::say;
use crate::units::Span;
use std::path::Path;
use std::time::Duration;

/// Lists, adds or lifts bans of the router that runs with this data folder.
///
/// # Errors
/// If no router runs, or what was named cannot be banned or is not.
pub(crate) fn bans(data: &Path, json: bool, what: Option<BansCommand>) -> Result<(), Failure> {
    match what {
        None => {
            let all = ask(data, &Request::Bans {})?;
            if json {
                return Ok(say(&format!("{all:#}\n"))?);
            }
            let all: Vec<Banned> = serde_json::from_value(all)?;
            let mut text = String::new();
            if all.is_empty() {
                text += "nobody is banned\n";
            }
            for Banned { who, kind, seconds_left, times, reason } in all {
                text += &format!("{kind:<8} {who:<44} for {:<10} time {times:<3} {reason}\n", left(seconds_left));
            }
            say(&text)?;
        }
        Some(BansCommand::Add { who, time, reason }) => {
            let seconds = Span::try_from(time)?.0.as_secs();
            ask(data, &Request::Ban { who, seconds, reason })?;
        }
        Some(BansCommand::Lift { who }) => {
            ask(data, &Request::Lift { who })?;
        }
    }
    Ok(())
}

/// To the minute if it is long.
fn left(seconds: u64) -> Span {
    Span(Duration::from_secs(if seconds > 600 { seconds / 60 * 60 } else { seconds }))
}
