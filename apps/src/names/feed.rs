//! Commands of subscription feeds: what the holder of a name wants to be done, signed with the keys that it takes.
//!
//! ```text
//! sig     by the destination in front (of remove and removeall: by `dest`), over all but `sig`
//! oldsig  by `olddest`, over all but `sig` and `oldsig`: where a second destination has a say
//! ```
//! spec: subscription §Commands, §Signatures

use super::HostName;
use super::entry::destination;
use super::hosts::{Host, Line};
use ramson_protocol::base64;
use ramson_protocol::data::keys_and_cert::Destination;
use ramson_protocol::data::private_keys::PrivateKeys;
use ramson_protocol::time::Wall;

/// A line whose signatures have been verified, or a plain name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A new name. `signed` if its destination has signed it.
    Add {
        /// The name and its destination.
        host: Host,
        /// The destination's key has signed the line.
        signed: bool,
    },
    /// The name in front takes the place of `old`, for the same destination.
    ChangeName {
        /// The new name and the destination.
        host: Host,
        /// The name that ends.
        old: HostName,
    },
    /// The name gets another destination.
    ChangeDestination {
        /// The name and its new destination.
        host: Host,
        /// Who had it.
        old: Destination,
    },
    /// Another name for the destination that `old` has.
    AddName {
        /// The new name and the destination.
        host: Host,
        /// A name that it has already.
        old: HostName,
    },
    /// Another destination for the name, to be preferred.
    AddDestination {
        /// The name and its further destination.
        host: Host,
        /// One that it has already.
        old: Destination,
    },
    /// A name below one whose holder agrees.
    AddSubdomain {
        /// The new name and its destination.
        host: Host,
        /// The name above.
        above: HostName,
        /// The destination of the name above.
        holder: Destination,
    },
    /// Other properties.
    Update {
        /// The name and its destination.
        host: Host,
    },
    /// The name is given up.
    Remove {
        /// The name.
        name: HostName,
        /// Its destination.
        destination: Destination,
    },
    /// All names of the destination are given up.
    RemoveAll {
        /// The destination.
        destination: Destination,
    },
}

/// Why a command is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    /// A command that nobody knows, or that must have something that it lacks.
    #[error("no command that is known, or something that it needs is missing")]
    Unknown,
    /// `sig` or `oldsig` is missing or wrong.
    #[error("not signed by whom it must be")]
    Signature,
    /// `expires` has passed, or `date` lies in the future.
    #[error("out of date")]
    Date,
}

impl FeedError {
    /// The name of the reason in counts.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unknown => "unknown_command",
            Self::Signature => "bad_signature",
            Self::Date => "out_of_date",
        }
    }
}

/// A command may be dated so far ahead of our clock, in seconds.
const AHEAD: u64 = 24 * 60 * 60;

impl Command {
    /// Reads what a line commands, and verifies who says so.
    ///
    /// # Errors
    /// Why it is not followed.
    pub fn verify(line: Line, now: Wall) -> Result<Self, FeedError> {
        check_dates(&line, now)?;
        let action = line.properties.get("action").cloned();
        match (action.as_deref(), line.host.is_some()) {
            // What was never signed says no more than any line of hosts.txt.
            (None, true) if !line.properties.contains_key("sig") => {
                Ok(Self::Add { host: line.host.ok_or(FeedError::Unknown)?, signed: false })
            }
            (Some("remove" | "removeall"), false) => {
                let destination = named_destination(&line, "dest")?;
                verify_outer(&line, &destination)?;
                if action.as_deref() == Some("removeall") {
                    return Ok(Self::RemoveAll { destination });
                }
                Ok(Self::Remove { name: named(&line, "name")?, destination })
            }
            (action, true) => Self::about_a_host(action, line),
            (_, false) => Err(FeedError::Unknown),
        }
    }

    fn about_a_host(action: Option<&str>, line: Line) -> Result<Self, FeedError> {
        let host = line.host.clone().ok_or(FeedError::Unknown)?;
        verify_outer(&line, &host.destination)?;
        match action {
            None => Ok(Self::Add { host, signed: true }),
            Some("changename") => Ok(Self::ChangeName { host, old: named(&line, "oldname")? }),
            Some("addname") => Ok(Self::AddName { host, old: named(&line, "oldname")? }),
            Some("update") => Ok(Self::Update { host }),
            Some("changedest") => Ok(Self::ChangeDestination { host, old: verify_inner(&line)? }),
            Some("adddest") => Ok(Self::AddDestination { host, old: verify_inner(&line)? }),
            Some("addsubdomain") => {
                let (above, holder) = (named(&line, "oldname")?, verify_inner(&line)?);
                if host.name.is_below(&above) {
                    Ok(Self::AddSubdomain { host, above, holder })
                } else {
                    Err(FeedError::Unknown)
                }
            }
            Some(_) => Err(FeedError::Unknown),
        }
    }
}

/// The line by which the holder of these keys has a name registered, and proves that he wants it. `None` if a transient key
/// stands for the destination's, which nobody takes in a line.
pub fn registration(name: &HostName, keys: &PrivateKeys, now: Wall) -> Option<String> {
    if keys.offline.is_some() {
        return None;
    }
    let front = format!("{name}={}#!date={}", base64::encode(keys.destination.as_bytes()), now.secs());
    let line = Line::parse(&front).ok()??;
    let signature = keys.key.sign(line.signed(&[]).as_bytes());
    Some(format!("{front}#sig={}", base64::encode(&signature)))
}

fn check_dates(line: &Line, now: Wall) -> Result<(), FeedError> {
    let seconds = |key| line.properties.get(key).map(|value| value.parse::<u64>().map_err(|_| FeedError::Date));
    let now = u64::from(now.secs());
    if seconds("expires").transpose()?.is_some_and(|expires| expires < now)
        || seconds("date").transpose()?.is_some_and(|date| date > now + AHEAD)
    {
        return Err(FeedError::Date);
    }
    Ok(())
}

fn named(line: &Line, key: &str) -> Result<HostName, FeedError> {
    let text = line.properties.get(key).ok_or(FeedError::Unknown)?;
    HostName::parse(text).map_err(|_| FeedError::Unknown)
}

fn named_destination(line: &Line, key: &str) -> Result<Destination, FeedError> {
    let text = line.properties.get(key).ok_or(FeedError::Unknown)?;
    destination(text).map_err(|_| FeedError::Unknown)
}

fn verify_outer(line: &Line, by: &Destination) -> Result<(), FeedError> {
    check_signature(line, "sig", &["sig"], by)
}

/// The other destination, which has signed, too.
fn verify_inner(line: &Line) -> Result<Destination, FeedError> {
    let old = named_destination(line, "olddest")?;
    check_signature(line, "oldsig", &["sig", "oldsig"], &old)?;
    Ok(old)
}

fn check_signature(line: &Line, key: &str, without: &[&str], by: &Destination) -> Result<(), FeedError> {
    let signature = line.properties.get(key).and_then(|text| base64::decode(text)).ok_or(FeedError::Signature)?;
    by.verify(line.signed(without).as_bytes(), &signature).map_err(|_| FeedError::Signature)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::entry::tests::key;
    use super::*;
    use ramson_protocol::base64::encode;

    pub(in crate::names) const NOW: Wall = Wall(1_800_000_000_000);

    pub(in crate::names) fn text(n: u8) -> String {
        encode(key(n).1.as_bytes())
    }

    /// The line with what its signers add: first whoever has `oldsig`, then whoever has `sig`.
    pub(in crate::names) fn signed(host: Option<(&str, u8)>, command: &str, inner: Option<u8>, outer: u8) -> String {
        let front = host.map(|(name, n)| format!("{name}={}", text(n))).unwrap_or_default();
        let mut all = command.to_owned();
        for (key_name, signer) in [("oldsig", inner), ("sig", Some(outer))] {
            let Some(signer) = signer else { continue };
            let sep = if all.is_empty() { "" } else { "#" };
            let line = Line::parse(&format!("{front}#!{all}{sep}x=1")).unwrap().unwrap();
            let bytes = line.signed(&["x"]);
            all = format!("{all}{sep}{key_name}={}", encode(&key(signer).0.sign(bytes.as_bytes())));
        }
        format!("{front}#!{all}")
    }

    pub(in crate::names) fn command(text: &str) -> Result<Command, FeedError> {
        Command::verify(Line::parse(text).unwrap().unwrap(), NOW)
    }

    #[test]
    fn each_command_is_followed_if_all_have_signed_who_must() {
        let old = format!("olddest={}", text(2));
        let host = Some(("example.i2p", 1));
        let kind = |text: &str| std::mem::discriminant(&command(text).unwrap());
        let name = HostName::parse("example.i2p").unwrap();
        let (h, o) = (Line::parse(&format!("example.i2p={}", text(1))).unwrap().unwrap().host.unwrap(), key(2).1);
        for (line, expected) in [
            (signed(host, "", None, 1), Command::Add { host: h.clone(), signed: true }),
            (format!("example.i2p={}", text(1)), Command::Add { host: h.clone(), signed: false }),
            (
                signed(host, "action=changename#oldname=old.i2p", None, 1),
                Command::ChangeName { host: h.clone(), old: name.clone() },
            ),
            (
                signed(host, "action=addname#oldname=old.i2p", None, 1),
                Command::AddName { host: h.clone(), old: name.clone() },
            ),
            (signed(host, "action=update#k=v", None, 1), Command::Update { host: h.clone() }),
            (
                signed(host, &format!("action=changedest#{old}"), Some(2), 1),
                Command::ChangeDestination { host: h.clone(), old: o.clone() },
            ),
            (
                signed(host, &format!("action=adddest#{old}"), Some(2), 1),
                Command::AddDestination { host: h.clone(), old: o.clone() },
            ),
            (
                signed(Some(("sub.old.i2p", 1)), &format!("action=addsubdomain#oldname=old.i2p#{old}"), Some(2), 1),
                Command::AddSubdomain { host: h, above: name.clone(), holder: o.clone() },
            ),
            (
                signed(None, &format!("action=remove#name=example.i2p#dest={}", text(2)), None, 2),
                Command::Remove { name, destination: o.clone() },
            ),
            (
                signed(None, &format!("action=removeall#dest={}", text(2)), None, 2),
                Command::RemoveAll { destination: o },
            ),
        ] {
            assert_eq!(kind(&line), std::mem::discriminant(&expected), "{expected:?}");
        }
    }

    #[test]
    fn a_registration_is_a_line_that_its_holder_has_signed() {
        let keys = PrivateKeys::generate([1; 32], &[2; 32]);
        let name = HostName::parse("example.i2p").unwrap();
        let line = registration(&name, &keys, NOW).unwrap();
        let Ok(Command::Add { host, signed: true }) = command(&line) else { panic!("{line}") };
        assert_eq!((host.name, host.destination), (name, keys.destination));
        let other = line.replacen("example", "another", 1);
        assert_eq!(command(&other), Err(FeedError::Signature));
    }

    #[test]
    fn what_somebody_else_signed_or_nobody_or_what_was_changed_is_refused() {
        let host = Some(("example.i2p", 1));
        let change = |inner, outer| signed(host, &format!("action=changedest#olddest={}", text(2)), inner, outer);
        for wrong in [
            signed(host, "", None, 2),
            signed(host, "action=update", None, 2),
            change(None, 1),
            change(Some(3), 1),
            change(Some(2), 2),
            signed(host, "action=update#k=v", None, 1).replace("k=v", "k=w"),
            signed(None, &format!("action=removeall#dest={}", text(2)), None, 1),
            format!("example.i2p={}#!action=update", text(1)),
            format!("example.i2p={}#!sig=AAAA", text(1)),
        ] {
            assert_eq!(command(&wrong), Err(FeedError::Signature), "{wrong}");
        }
    }

    #[test]
    fn unknown_commands_and_those_out_of_date_are_passed_over() {
        let host = Some(("example.i2p", 1));
        let seconds = NOW.secs();
        for (line, error) in [
            (signed(host, "action=newthing", None, 1), FeedError::Unknown),
            (signed(host, "action=changename", None, 1), FeedError::Unknown),
            (signed(None, "action=update", None, 1), FeedError::Unknown),
            (
                signed(
                    Some(("other.i2p", 1)),
                    &format!("action=addsubdomain#oldname=old.i2p#olddest={}", text(2)),
                    Some(2),
                    1,
                ),
                FeedError::Unknown,
            ),
            (signed(host, &format!("action=update#expires={}", seconds - 1), None, 1), FeedError::Date),
            (signed(host, &format!("date={}", u64::from(seconds) + 2 * AHEAD), None, 1), FeedError::Date),
            (signed(host, "date=yesterday", None, 1), FeedError::Date),
        ] {
            assert_eq!(command(&line), Err(error), "{line}");
        }
    }
}
