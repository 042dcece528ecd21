//! Lines of hosts.txt and of subscription feeds.
//!
//! ```text
//! example.i2p=DESTINATION                          a name
//! example.i2p=DESTINATION#!key=value#key=value     a name with properties, or a command (feed.rs)
//! #!action=remove#key=value                        a command about no name in front
//! # words, ; words                                 comments
//! ```
//! spec: naming §Hosts.txt Naming Service, subscription §New Line Types; INTEROP: of `name=DESTINATION#words` the words are
//! cut off.

use super::entry::destination;
use super::{HostName, NameError};
use ramson_protocol::data::keys_and_cert::Destination;
use std::collections::BTreeMap;

/// The longest line: a command has two destinations and two signatures.
pub const MAX_LINE: usize = 8 * 1024;

/// Properties of a line, at most.
const MAX_PROPERTIES: usize = 64;

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The name and its destination, if they stand in front.
    pub host: Option<Host>,
    /// Behind `#!`, sorted by key.
    pub properties: BTreeMap<String, String>,
}

/// A name and its destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The name.
    pub name: HostName,
    /// Its destination.
    pub destination: Destination,
    /// Both as they stand in the line, which is what is signed.
    pub(super) text: String,
}

/// Why a line is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Longer than any line has to be.
    #[error("longer than {MAX_LINE} bytes")]
    TooLong,
    /// No `name=destination`.
    #[error("not of the form name=destination")]
    Form,
    /// The name breaks a rule.
    #[error("{0}: {1}")]
    Name(String, NameError),
    /// What should be a destination is none.
    #[error("the destination of {0} is none: it is cut off or not I2P's base 64")]
    Destination(String),
    /// A property has no `=`, stands there twice, or there are too many.
    #[error("a property behind #! has no '=' or stands there twice")]
    Property,
}

impl LineError {
    /// The name of the reason in counts.
    pub fn label(&self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Form => "form",
            Self::Name(_, error) => error.label(),
            Self::Destination(_) => "destination",
            Self::Property => "property",
        }
    }
}

impl Line {
    /// Reads a line; `None` for comments and empty ones.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(line: &str) -> Result<Option<Self>, LineError> {
        let line = line.trim();
        if line.len() > MAX_LINE {
            return Err(LineError::TooLong);
        }
        let (host, command) = match line.split_once('#') {
            Some((host, rest)) => (host.trim_end(), rest.strip_prefix('!')),
            None => (line, None),
        };
        if host.starts_with(';') || host.is_empty() && command.is_none() {
            return Ok(None);
        }
        let properties = command.map(properties).transpose()?.unwrap_or_default();
        let host = if host.is_empty() { None } else { Some(Host::parse(host)?) };
        Ok(Some(Self { host, properties }))
    }

    /// What is signed with a destination's key: all but the properties named.
    ///
    /// spec: subscription §Input for Signatures
    pub(super) fn signed(&self, without: &[&str]) -> String {
        let mut out = self.host.as_ref().map(|host| host.text.clone()).unwrap_or_default();
        let mut mark = "#!";
        for (key, value) in self.properties.iter().filter(|(key, _)| !without.contains(&key.as_str())) {
            for part in [mark, key, "=", value] {
                out.push_str(part);
            }
            mark = "#";
        }
        out
    }
}

impl Host {
    fn parse(text: &str) -> Result<Self, LineError> {
        let (left, right) = text.split_once('=').ok_or(LineError::Form)?;
        let name = HostName::parse(left.trim()).map_err(|error| LineError::Name(left.trim().to_owned(), error))?;
        let destination = destination(right.trim()).map_err(|_| LineError::Destination(name.to_string()))?;
        Ok(Self { name, destination, text: text.to_owned() })
    }
}

fn properties(text: &str) -> Result<BTreeMap<String, String>, LineError> {
    let mut all = BTreeMap::new();
    for pair in text.split('#') {
        let (key, value) = pair.split_once('=').ok_or(LineError::Property)?;
        if all.insert(key.to_owned(), value.to_owned()).is_some() || all.len() > MAX_PROPERTIES {
            return Err(LineError::Property);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::super::entry::tests::key;
    use super::*;
    use proptest::prelude::*;
    use ramson_protocol::base64::encode;

    fn line(text: &str) -> Line {
        Line::parse(text).unwrap().unwrap()
    }

    #[test]
    fn names_properties_and_commands_are_read() {
        let (destination, text) = (key(1).1, encode(key(1).1.as_bytes()));
        let plain = line(&format!(" Example.i2p={text}\r\n"));
        let host = plain.host.unwrap();
        assert_eq!((host.name.as_str(), &host.destination), ("example.i2p", &destination));
        let full = line(&format!("example.i2p={text}#!b=2#a=1#c=x=y"));
        assert_eq!(full.properties["c"], "x=y");
        assert_eq!(full.signed(&["c"]), format!("example.i2p={text}#!a=1#b=2"));
        assert_eq!(full.signed(&["a", "b", "c"]), format!("example.i2p={text}"));
        let remark = line(&format!("example.i2p={text}#a remark"));
        assert!(remark.properties.is_empty());
        let command = line("#!action=remove#name=example.i2p");
        assert_eq!(
            (command.host.is_none(), command.signed(&[])),
            (true, "#!action=remove#name=example.i2p".to_owned())
        );
        for nothing in ["", "  ", "# words", "; words=more", "#"] {
            assert_eq!(Line::parse(nothing), Ok(None), "{nothing}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said() {
        let text = encode(key(1).1.as_bytes());
        for (wrong, label) in [
            ("example.i2p".to_owned(), "form"),
            (format!("example.com={text}"), "suffix"),
            ("example.i2p=AAAA".to_owned(), "destination"),
            (format!("example.i2p={text}#!a=1#a=2"), "property"),
            (format!("example.i2p={text}#!a"), "property"),
            (format!("#!{}", "k=v#".repeat(3000)), "too_long"),
        ] {
            assert_eq!(Line::parse(&wrong).unwrap_err().label(), label, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_line_is_a_panic(text in "\\PC{0,200}", tail in "(#!?([a-z]{0,3}=?\\PC{0,9}#?){0,9})?") {
            let _ = Line::parse(&text);
            let _ = Line::parse(&format!("example.i2p={}{tail}", encode(key(1).1.as_bytes())));
        }
    }
}
