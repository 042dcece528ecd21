//! Bans on disk: who was banned stays so over a restart.
//!
//! ```text
//! # a comment
//! WHO UNTIL BANS REASON        as the operator writes WHO; UNTIL in seconds since 1970
//! ```

use ramson_protocol::blame::Sentence;
use ramson_protocol::time::{Now, Wall};
use std::borrow::Cow;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Files larger than this are not ours: a hundred bytes for each of those who can be banned at once.
const MAX_LEN: u64 = 4 << 20;

/// No ban that is read lasts longer: what a wrong clock wrote must not stay for ever.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The text of a file.
pub(super) fn to_text(bans: impl Iterator<Item = Sentence>, now: Now) -> String {
    let mut text = "# Who is banned, until when (seconds since 1970), for the how many-th time, and why.\n".to_owned();
    for Sentence { who, until, bans, reason } in bans {
        let until = now.wall.plus(until.saturating_sub(now.mono)).secs();
        text.push_str(&format!("{who} {until} {bans} {reason}\n"));
    }
    text
}

/// The bans that a text has; lines that cannot be read are passed over.
pub(super) fn from_text(text: &str, now: Now) -> Vec<Sentence> {
    text.lines().filter_map(|line| line_to_ban(line, now)).collect()
}

fn line_to_ban(line: &str, now: Now) -> Option<Sentence> {
    let mut words = line.splitn(4, ' ');
    let who = words.next()?.parse().ok()?;
    let until = Wall::from_secs(words.next()?.parse().ok()?);
    let bans = words.next()?.parse().ok()?;
    let reason = Cow::Owned(words.next().unwrap_or_default().to_owned());
    Some(Sentence { who, until: now.mono + until.since(now.wall).min(LONGEST), bans, reason })
}

/// Reads the file; none is as good as an empty one.
///
/// # Errors
/// If there is a file but it cannot be read, or is none of ours.
pub(super) fn read(path: &Path, now: Now) -> io::Result<Vec<Sentence>> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
        Ok(file) if file.len() > MAX_LEN => return Err(io::ErrorKind::InvalidData.into()),
        Ok(_) => {}
    }
    Ok(from_text(&std::fs::read_to_string(path)?, now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bans_come_back_with_what_is_left_of_them_and_lines_of_nobody_do_no_harm() {
        let now = |secs| Now { mono: Duration::from_secs(secs), wall: Wall::from_secs(1_000_000 + secs as u32) };
        let ban = |who: &str, until| Sentence {
            who: who.parse().unwrap(),
            until: Duration::from_secs(until),
            bans: 2,
            reason: "by the operator".into(),
        };
        let bans = [ban("192.0.2.7", 500), ban("192.0.2.0/24", 400)];
        let text = to_text(bans.iter().cloned(), now(100)) + "nobody 1 1 x\n192.0.2.1\n192.0.2.1 x 1\n\n";
        // The process began anew, its monotonic clock with it.
        let later = Now { mono: Duration::from_secs(1), wall: Wall::from_secs(1_000_200) };
        assert_eq!(from_text(&text, later), [ban("192.0.2.7", 301), ban("192.0.2.0/24", 201)]);
        let over = Now { mono: Duration::from_secs(1), wall: Wall::from_secs(1_000_450) };
        assert_eq!(from_text(&text, over)[1].until, over.mono, "it is over");
    }

    #[test]
    fn a_ban_until_the_end_of_time_ends() {
        let now = Now { mono: Duration::from_secs(1), wall: Wall::from_secs(1_000_000) };
        let bans = from_text("192.0.2.7 4294967295 1 x\n", now);
        assert!(bans[0].until <= now.mono + LONGEST);
    }
}
