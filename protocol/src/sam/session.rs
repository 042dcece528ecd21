//! What a program wants of a session: SESSION CREATE, and SESSION ADD for a part of a primary one.
//!
//! spec: samv3 §SAM Sessions, §SAM PRIMARY Sessions; i2cp §Options for `inbound.*` and `outbound.*`

use super::reply::Outcome;
use super::{NumberError, Params, Version};
use crate::base64;
use crate::data::key_type::SigType;
use crate::data::private_keys::PrivateKeys;
use crate::destination::options::{OptionError, Options};
use crate::idle;
use crate::payload::{DATAGRAM, RAW, STREAMING};
use crate::pool::Wanted;
use crate::{datagram::DATAGRAM2, datagram::DATAGRAM3};
use ramson_crypto::sign::PrivateKey;
use std::net::{IpAddr, Ipv4Addr};

/// The longest ID.
const MAX_ID: usize = 256;

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Style {
    /// Streams.
    Stream,
    /// Datagrams with a sender, of the protocol with this number: 17, 19 or 20.
    Datagram(u8),
    /// Datagrams without.
    Raw,
    /// All of these in parts that are added later.
    Primary,
}

impl Style {
    fn parse(word: &str, version: Version) -> Option<Self> {
        Some(match word {
            "STREAM" => Self::Stream,
            // INTEROP: i2pd has DATAGRAM1 for the first kind, too.
            "DATAGRAM" | "DATAGRAM1" => Self::Datagram(DATAGRAM),
            "DATAGRAM2" => Self::Datagram(DATAGRAM2),
            "DATAGRAM3" => Self::Datagram(DATAGRAM3),
            "RAW" => Self::Raw,
            // INTEROP: i2pd and older clients say MASTER.
            "PRIMARY" | "MASTER" if version >= Version::PRIMARY => Self::Primary,
            _ => return None,
        })
    }

    /// Its name in counts.
    pub fn label(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Datagram(DATAGRAM2) => "datagram2",
            Self::Datagram(DATAGRAM3) => "datagram3",
            Self::Datagram(_) => "datagram",
            Self::Raw => "raw",
            Self::Primary => "primary",
        }
    }
}

/// Where datagrams are carried to. Without a host it is that of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The host.
    pub host: Option<IpAddr>,
    /// The port.
    pub port: u16,
}

/// What each session and each part of a primary one says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name among all sessions of this server.
    pub id: String,
    /// What it is for.
    pub style: Style,
    /// The ports of what it sends, unless that says otherwise.
    pub from_port: u16,
    /// The same at the other side.
    pub to_port: u16,
    /// The protocol of raw datagrams that it sends, unless these say otherwise.
    pub protocol: u8,
    /// The port of what it takes; zero is all that no other part has.
    pub listen_port: u16,
    /// The protocol of raw datagrams that it takes; zero is all.
    pub listen_protocol: u8,
    /// Raw datagrams are carried on with a line of their ports and protocol before them.
    pub header: bool,
    /// Where datagrams are carried to; on the socket of the session without.
    pub forward: Option<Forward>,
}

/// What a session is to be.
#[derive(Clone, Debug)]
pub struct Request {
    /// What all sessions and parts say.
    pub part: Part,
    /// Who it is to be.
    pub who: Who,
    /// Tunnels to it.
    pub inbound: Wanted,
    /// Tunnels away from it.
    pub outbound: Wanted,
    /// Others may find it.
    pub published: bool,
    /// What few sessions want otherwise.
    pub options: Options,
}

/// Who a session is to be.
#[derive(Clone, Debug)]
pub enum Who {
    /// Somebody new, with keys of this type.
    New(SigType),
    /// Whose keys these are.
    Known(Box<PrivateKeys>),
}

/// Why there is no session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no ID.
    #[error("ID is missing: give the session a name")]
    NoId,
    /// An ID that cannot be.
    #[error("ID has at most {MAX_ID} characters, without blanks and < > \" ' /")]
    Id,
    /// No style that is known in this version.
    #[error("Unknown STYLE: write STREAM, DATAGRAM, DATAGRAM2, DATAGRAM3 or RAW, from version 3.3 on also PRIMARY")]
    Style,
    /// No destination, or one that is none.
    #[error("DESTINATION is neither TRANSIENT nor private keys in base 64")]
    Key,
    /// Keys of a kind that is not made here.
    #[error("SIGNATURE_TYPE: keys of 7 (EdDSA_SHA512_Ed25519), 11, 1, 2 and 3 are made here")]
    SignatureType,
    /// Keys whose lease set cannot be encrypted.
    #[error("i2cp.leaseSetType=5 needs the destination's own key, of type 7 or 11")]
    NotBlindable,
    /// An option of I2CP that cannot be.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// A number that is none.
    #[error(transparent)]
    Number(#[from] NumberError),
    /// A protocol that is none of raw datagrams.
    #[error("PROTOCOL {0} belongs to others than raw datagrams")]
    Protocol(u8),
    /// A host that is none.
    #[error("HOST is no IP address")]
    Host,
    /// A kind of datagram that an offline key cannot sign.
    #[error("a transient key cannot sign datagrams of the first kind: write STYLE=DATAGRAM2")]
    Offline,
    /// Part of a stream session that takes what does not come for it.
    #[error("LISTEN_PORT of a stream session is its FROM_PORT or 0")]
    ListenPort,
}

impl Refusal {
    /// How it is told.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Id => Outcome::InvalidId,
            Self::Key => Outcome::InvalidKey,
            _ => Outcome::I2pError,
        }
    }
}

impl Part {
    /// Reads what SESSION CREATE and SESSION ADD have in common.
    ///
    /// # Errors
    /// What cannot be.
    pub fn parse(params: &Params, version: Version) -> Result<Self, Refusal> {
        let id = params.filled("ID").ok_or(Refusal::NoId)?;
        // INTEROP: the characters that i2pd refuses.
        if id.len() > MAX_ID || id.contains(['<', '>', '"', '\'', '/']) || id.contains(char::is_whitespace) {
            return Err(Refusal::Id);
        }
        let style = params.get("STYLE").and_then(|word| Style::parse(word, version)).ok_or(Refusal::Style)?;
        let from_port = params.port("FROM_PORT")?.unwrap_or(0);
        let listen_port = params.port("LISTEN_PORT")?.unwrap_or(from_port);
        if style == Style::Stream && listen_port != from_port && listen_port != 0 {
            return Err(Refusal::ListenPort);
        }
        let protocol = params.byte("PROTOCOL")?.unwrap_or(RAW);
        let listen_protocol = params.byte("LISTEN_PROTOCOL")?.unwrap_or(protocol);
        if let Some(other) = [protocol, listen_protocol].into_iter().find(|protocol| !is_raw(*protocol)) {
            return Err(Refusal::Protocol(other));
        }
        let port = params.port("PORT")?.filter(|_| matches!(style, Style::Datagram(_) | Style::Raw));
        let forward = match port {
            Some(port) => Some(Forward { host: host(params)?, port }),
            None => None,
        };
        Ok(Self {
            id: id.to_owned(),
            style,
            from_port,
            to_port: params.port("TO_PORT")?.unwrap_or(0),
            protocol,
            listen_port,
            listen_protocol,
            header: params.is_true("HEADER"),
            forward,
        })
    }

    /// The protocol of what it takes; zero is every protocol of raw datagrams.
    pub fn listens_to(&self) -> u8 {
        match self.style {
            Style::Stream => STREAMING,
            Style::Datagram(protocol) => protocol,
            Style::Raw => self.listen_protocol,
            // INTEROP: nothing comes for the primary session itself, as in Java.
            Style::Primary => u8::MAX,
        }
    }
}

/// True if raw datagrams may have this protocol number. spec: samv3 §Session Creation Request
pub fn is_raw(protocol: u8) -> bool {
    ![STREAMING, DATAGRAM, DATAGRAM2, DATAGRAM3].contains(&protocol)
}

/// The host of a FORWARD or a session, an address or `localhost`: names are asked of nobody.
///
/// # Errors
/// `Host`.
pub fn host(params: &Params) -> Result<Option<IpAddr>, Refusal> {
    Ok(match params.filled("HOST") {
        None => None,
        Some(host) if host.eq_ignore_ascii_case("localhost") => Some(Ipv4Addr::LOCALHOST.into()),
        Some(host) => Some(host.trim_matches(['[', ']']).parse().map_err(|_| Refusal::Host)?),
    })
}

impl Request {
    /// Reads SESSION CREATE. What it does not say of tunnels is as in `tunnels`.
    ///
    /// # Errors
    /// What cannot be.
    pub fn parse(params: &Params, version: Version, tunnels: Wanted) -> Result<Self, Refusal> {
        let part = Part::parse(params, version)?;
        let who = match params.filled("DESTINATION") {
            Some("TRANSIENT") => Who::New(signature_type(params)?),
            Some(text) => Who::Known(Box::new(private_keys(text).ok_or(Refusal::Key)?)),
            None => return Err(Refusal::Key),
        };
        let (offline, can_be_blinded) = match &who {
            Who::New(kind) => (false, matches!(kind, SigType::Ed25519 | SigType::RedDsa)),
            Who::Known(keys) => (keys.offline.is_some(), keys.can_be_blinded()),
        };
        if offline && part.style == Style::Datagram(DATAGRAM) {
            return Err(Refusal::Offline);
        }
        let idle = idle::Config::asked(|name| params.is_true(name), |name| params.number(name));
        let options = Options { idle, ..Options::parse(params.iter())? };
        if options.encrypted.is_some() && !can_be_blinded {
            return Err(Refusal::NotBlindable);
        }
        Ok(Self {
            part,
            who,
            inbound: Wanted::asked("inbound", tunnels, |name| params.number(name)),
            outbound: Wanted::asked("outbound", tunnels, |name| params.number(name)),
            published: !params.is_true("i2cp.dontPublishLeaseSet"),
            options,
        })
    }
}

/// The type of the keys that are asked for, if such are made here.
///
/// INTEROP: others make DSA keys if nothing is asked for, which no router should use any more and no client needs.
///
/// # Errors
/// `SignatureType`.
pub fn signature_type(params: &Params) -> Result<SigType, Refusal> {
    let Some(name) = params.filled("SIGNATURE_TYPE") else { return Ok(SigType::Ed25519) };
    let kind = SigType::from_name(name).filter(|kind| PrivateKey::can_be_made(*kind));
    kind.ok_or(Refusal::SignatureType)
}

/// Reads base 64 with or without padding. INTEROP: some clients cut values at the second `=`.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let bare = text.trim_end_matches('=');
    base64::decode(&format!("{bare}{}", &"==="[..(4 - bare.len() % 4) % 4]))
}

fn private_keys(text: &str) -> Option<PrivateKeys> {
    PrivateKeys::parse(&decode(text)?).ok()
}
