//! Names: which destination `example.i2p` is, kept by the user alone, since I2P has no authority that could tell.
//!
//! ```text
//! hosts.txt, feeds (hosts.rs, feed.rs) ---.
//! i2pd, Java I2P (i2pd.rs, blockfile.rs) --+--> Book (book.rs) --> lookup: private, then user, then hosts
//! the user --------------------------------'       '--> conflicts: kept and shown, never silently taken
//! ```
//! A name that is known is never given to another destination because a list says so: only its holder can do that, by a
//! command that is signed with the key of the destination that had it ([`feed`]).
//!
//! spec: naming §Naming Rules, subscription, blockfile

pub mod blockfile;
pub mod book;
pub mod entry;
pub mod feed;
pub mod hosts;
pub mod i2pd;
mod opened;

pub use opened::{Names, ResolveError};
use ramson_protocol::b32;
use std::fmt;

/// The longest name, with its suffix.
pub const MAX_LEN: usize = 67;

const SUFFIX: &str = ".i2p";

/// Names that routers use for themselves, and all below them.
const RESERVED: &[&str] = &["proxy", "router", "console", "mail"];

/// A host name that follows the naming rules: lower case, ends with `.i2p`, and is no address in base 32.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(String);

/// Why a text is no host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It does not end with `.i2p`.
    #[error("it does not end with .i2p")]
    Suffix,
    /// Too long or too short.
    #[error("it has {0} characters: a name has 5 to {MAX_LEN}, with .i2p")]
    Length(usize),
    /// A character that names do not have.
    #[error(
        "it has the character {0:?}: a name has a-z, 0-9, '.' and '-'; write other letters in their form that begins with xn--"
    )]
    Character(char),
    /// A dot or dash in the wrong place.
    #[error("a dot or dash is where none may be: at the begin, beside another one")]
    Punctuation,
    /// An address in base 32 stands for itself.
    #[error("it is an address in base 32, which stands for itself")]
    Base32,
    /// A name that routers use for themselves.
    #[error("it is reserved: routers use it for pages of their own")]
    Reserved,
}

impl NameError {
    /// The name of the reason in counts.
    pub fn label(self) -> &'static str {
        match self {
            Self::Suffix => "suffix",
            Self::Length(_) => "length",
            Self::Character(_) => "character",
            Self::Punctuation => "punctuation",
            Self::Base32 => "base32",
            Self::Reserved => "reserved",
        }
    }
}

impl HostName {
    /// Reads a name in either case; `.i2p.alt` stands for `.i2p`.
    ///
    /// # Errors
    /// Which of the rules it breaks.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let text = text.to_ascii_lowercase();
        let text = text.strip_suffix(".alt").filter(|rest| rest.ends_with(SUFFIX)).unwrap_or(&text);
        let stem = text.strip_suffix(SUFFIX).ok_or(NameError::Suffix)?;
        if stem.is_empty() || text.len() > MAX_LEN {
            return Err(NameError::Length(text.len()));
        }
        if let Some(other) = text.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '.' | '-')) {
            return Err(NameError::Character(other));
        }
        check_punctuation(stem)?;
        if text.ends_with(b32::SUFFIX) || text == "b32.i2p" || stem.len() == 52 && is_base32(stem) {
            return Err(NameError::Base32);
        }
        if RESERVED.contains(&stem.rsplit('.').next().unwrap_or(stem)) {
            return Err(NameError::Reserved);
        }
        Ok(Self(text.to_owned()))
    }

    /// The name, in lower case, with `.i2p`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True if this name stands below `other`, as `sub.example.i2p` does below `example.i2p`.
    pub fn is_below(&self, other: &Self) -> bool {
        self.0.strip_suffix(&other.0).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check_punctuation(stem: &str) -> Result<(), NameError> {
    let mark = |c: char| c == '.' || c == '-';
    // "--" stands only where it says that a label is of another alphabet.
    let doubled = |label: &str| label.strip_prefix("xn--").unwrap_or(label).contains("--");
    if stem.starts_with(mark)
        || stem.ends_with(mark)
        || stem.contains("..")
        || stem.contains(".-")
        || stem.contains("-.")
    {
        return Err(NameError::Punctuation);
    }
    if stem.split('.').any(doubled) { Err(NameError::Punctuation) } else { Ok(()) }
}

fn is_base32(stem: &str) -> bool {
    stem.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_follow_the_rules_of_the_other_routers() {
        for (text, name) in [
            ("Example.I2P", "example.i2p"),
            ("a.i2p", "a.i2p"),
            ("sub.xn--bcher-kva.i2p", "sub.xn--bcher-kva.i2p"),
            ("example.i2p.alt", "example.i2p"),
            ("myproxy.i2p", "myproxy.i2p"),
        ] {
            assert_eq!(HostName::parse(text).unwrap().as_str(), name);
        }
        for (text, error) in [
            ("example.com", NameError::Suffix),
            (".i2p", NameError::Length(4)),
            (&format!("{}.i2p", "a".repeat(64)), NameError::Length(68)),
            ("exämple.i2p", NameError::Character('ä')),
            ("ex ample.i2p", NameError::Character(' ')),
            ("ex\u{7}.i2p", NameError::Character('\u{7}')),
            ("-a.i2p", NameError::Punctuation),
            ("a-.i2p", NameError::Punctuation),
            ("a..b.i2p", NameError::Punctuation),
            ("a.-b.i2p", NameError::Punctuation),
            ("a--b.i2p", NameError::Punctuation),
            ("xn--a--b.i2p", NameError::Punctuation),
            (&format!("{}.b32.i2p", "a".repeat(52)), NameError::Base32),
            (&format!("{}.i2p", "a".repeat(52)), NameError::Base32),
            ("proxy.i2p", NameError::Reserved),
            ("a.console.i2p", NameError::Reserved),
        ] {
            assert_eq!(HostName::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_subdomain_is_below_its_domain_and_nothing_else() {
        let name = |text| HostName::parse(text).unwrap();
        assert!(name("a.example.i2p").is_below(&name("example.i2p")));
        assert!(!name("example.i2p").is_below(&name("example.i2p")));
        assert!(!name("badexample.i2p").is_below(&name("example.i2p")));
    }

    proptest! {
        #[test]
        fn whatever_is_taken_for_a_name_is_one_again(text in "\\PC{0,80}(\\.i2p)?") {
            if let Ok(name) = HostName::parse(&text) {
                prop_assert_eq!(HostName::parse(name.as_str()), Ok(name.clone()));
                prop_assert!(name.as_str().len() <= MAX_LEN && name.as_str().is_ascii());
            }
        }
    }
}
