//! The messages of I2CP, both ways.
//!
//! spec: i2cp §Messages

mod blinding_info;
mod host_lookup;

pub use blinding_info::{BlindedEndpoint, BlindingInfo};
pub use host_lookup::{Found, HostLookup, HostReply, Query, lookup};

use super::session::SessionConfig;
use super::{MAX_BODY, SessionId};
use crate::data::keys_and_cert::Destination;
use crate::data::lease::{Lease, MAX_LEASES};
use crate::data::mapping::{Mapping, MappingBuf, string, write_string};
use crate::id::{DestinationHash, RouterHash, TunnelId};
use crate::time::Wall;
use crate::wire::{Error, Reader, Result, Writer};
use bytes::Bytes;

/// Flag of a payload: our lease set does not go along.
pub const FLAG_NO_LEASE_SET: u16 = 0x0100;

/// Six bytes of a date.
const DATE_MASK: u64 = 0x0000_ffff_ffff_ffff;

/// Integers of the bandwidth limits.
const LIMITS: usize = 16;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// 1: a session is wanted.
    CreateSession(SessionConfig),
    /// 2: a session is to be another.
    ReconfigureSession(SessionId, SessionConfig),
    /// 3: a session is over.
    DestroySession(SessionId),
    /// 4: a lease set of the first kind, and what its keys are.
    CreateLeaseSet(SessionId, Bytes),
    /// 5, and 36 with a date: send a payload.
    Send(Send),
    /// 6: hand over a payload that waits.
    ReceiveBegin(SessionId, u32),
    /// 7: it was taken.
    ReceiveEnd(SessionId, u32),
    /// 8: what does the line bear?
    GetBandwidthLimits,
    /// 20: what became of a session.
    SessionStatus(SessionId, SessionStatus),
    /// 21: sign leases of these tunnels, which all end at this time.
    RequestLeaseSet(SessionId, Vec<(RouterHash, TunnelId)>, Wall),
    /// 22: what became of a payload.
    MessageStatus(MessageStatus),
    /// 23: in KB/s: for programs in and out, then the router's, with bursts.
    BandwidthLimits([u32; LIMITS]),
    /// 29: nobody acts on this.
    ReportAbuse,
    /// 30: the connection ends, and why.
    Disconnect(String),
    /// 31: a payload came.
    Payload(SessionId, u32, Bytes),
    /// 32: how late is it? With the API of the program, and who it is.
    GetDate {
        /// Its API; none before 0.8.7.
        version: Option<String>,
        /// Its user name and password.
        credentials: Option<(String, String)>,
    },
    /// 33: so late, and the router's API.
    SetDate(Wall, Option<String>),
    /// 34: whose is this hash?
    DestLookup(DestinationHash),
    /// 35: his, or nobody's.
    DestReply(std::result::Result<Destination, DestinationHash>),
    /// 37: sign these leases.
    RequestVariableLeaseSet(SessionId, Vec<Lease>),
    /// 38: whose is this?
    HostLookup(HostLookup),
    /// 39: his, or why not.
    HostReply(HostReply),
    /// 41: a lease set, with the keys of what comes by it. See [`super::grant`].
    CreateLeaseSet2(SessionId, Bytes),
    /// 42: a destination whose lease set is encrypted.
    BlindingInfo(BlindingInfo),
    /// One that nobody knows.
    Unknown(u8),
}

/// A payload that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Send {
    /// Whose.
    pub session: SessionId,
    /// Whom it goes to.
    pub to: Destination,
    /// The gzip member.
    pub payload: Bytes,
    /// What its program calls it; zero if it wants to know nothing.
    pub nonce: u32,
    /// Flags, and until when it is of use.
    pub options: Option<(u16, Wall)>,
}

/// What became of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SessionStatus {
    /// It is over.
    Destroyed = 0,
    /// It begins.
    Created = 1,
    /// It is what was asked for.
    Updated = 2,
    /// What was asked for cannot be.
    Invalid = 3,
    /// There is no room for it.
    Refused = 4,
}

/// What became of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageStatus {
    /// Whose.
    pub session: SessionId,
    /// What the router calls it.
    pub id: u32,
    /// One of [`status`].
    pub status: u8,
    /// Bytes, of one that came and waits.
    pub size: u32,
    /// What the program calls it.
    pub nonce: u32,
}

/// What may become of a payload. spec: i2cp §MessageStatusMessage
pub mod status {
    /// One came, and waits.
    pub const AVAILABLE: u8 = 0;
    /// It is taken, and more will be told.
    pub const ACCEPTED: u8 = 1;
    /// It went.
    pub const SENT: u8 = 4;
    /// It did not.
    pub const FAILED: u8 = 5;
    /// It came to another session here.
    pub const SENT_LOCALLY: u8 = 6;
    /// It is empty, or too long.
    pub const BAD_MESSAGE: u8 = 11;
    /// It waited for too long.
    pub const EXPIRED: u8 = 14;
    /// There are no tunnels.
    pub const NO_TUNNELS: u8 = 16;
    /// Its receiver has an encryption that is not spoken here.
    pub const UNSUPPORTED_ENCRYPTION: u8 = 17;
    /// Its receiver's lease set was not found.
    pub const NO_LEASE_SET: u8 = 21;
    /// Its receiver has published a MetaLeaseSet: who is to have it can be asked for by a HostLookup.
    pub const META_LEASE_SET: u8 = 22;
}

impl Message {
    /// Reads a body of this type.
    ///
    /// # Errors
    /// `Truncated`, `Trailing`, `Invalid`, `TooLarge`.
    pub fn parse(kind: u8, body: &Bytes) -> Result<Self> {
        let mut r = Reader::new(body);
        let message = match kind {
            1 => Self::CreateSession(SessionConfig::parse(body)?),
            2 => {
                let session = session(&mut r)?;
                Self::ReconfigureSession(session, SessionConfig::parse(&body.slice(r.position()..))?)
            }
            3 => Self::DestroySession(session(&mut r)?),
            4 => Self::CreateLeaseSet(session(&mut r)?, rest(body, &mut r)),
            5 | 36 => Self::Send(Send::parse(kind, body)?),
            6 => Self::ReceiveBegin(session(&mut r)?, r.u32()?),
            7 => Self::ReceiveEnd(session(&mut r)?, r.u32()?),
            8 => Self::GetBandwidthLimits,
            20 => Self::SessionStatus(session(&mut r)?, SessionStatus::parse(r.u8()?)?),
            21 => {
                let (session, count) = (session(&mut r)?, r.u8()?);
                if count > MAX_LEASES {
                    return Err(Error::TooLarge("leases"));
                }
                let tunnel = |_| Ok((RouterHash(r.array()?), TunnelId(r.u32()?)));
                let tunnels = (0..count).map(tunnel).collect::<Result<_>>()?;
                Self::RequestLeaseSet(session, tunnels, Wall(r.u64()?))
            }
            22 => Self::MessageStatus(MessageStatus {
                session: session(&mut r)?,
                id: r.u32()?,
                status: r.u8()?,
                size: r.u32()?,
                nonce: r.u32()?,
            }),
            23 => {
                let mut limits = [0; LIMITS];
                for limit in &mut limits {
                    *limit = r.u32()?;
                }
                Self::BandwidthLimits(limits)
            }
            29 => Self::ReportAbuse,
            30 => Self::Disconnect(text(&mut r)?),
            31 => {
                let (session, id) = (session(&mut r)?, r.u32()?);
                Self::Payload(session, id, payload(body, &mut r)?)
            }
            32 => Self::get_date(&mut r)?,
            33 => {
                let date = Wall(r.u64()?);
                Self::SetDate(date, if r.is_empty() { None } else { Some(text(&mut r)?) })
            }
            34 => Self::DestLookup(DestinationHash(r.array()?)),
            35 if body.len() == 32 => Self::DestReply(Err(DestinationHash(r.array()?))),
            35 => Self::DestReply(Ok(Destination::parse(&mut r)?)),
            37 => {
                let (session, count) = (session(&mut r)?, r.u8()?);
                if count > MAX_LEASES {
                    return Err(Error::TooLarge("leases"));
                }
                let leases = (0..count).map(|_| Lease::parse(&mut r)).collect::<Result<_>>()?;
                Self::RequestVariableLeaseSet(session, leases)
            }
            38 => Self::HostLookup(HostLookup::parse(&mut r)?),
            39 => Self::HostReply(HostReply::parse(&mut r)?),
            41 => Self::CreateLeaseSet2(session(&mut r)?, rest(body, &mut r)),
            42 => Self::BlindingInfo(BlindingInfo::parse(&mut r)?),
            other => Self::Unknown(other),
        };
        Ok(message)
    }

    /// spec: i2cp §GetDateMessage
    fn get_date(r: &mut Reader<'_>) -> Result<Self> {
        let version = if r.is_empty() { None } else { Some(text(r)?) };
        let options = if r.is_empty() { Mapping::default() } else { Mapping::parse(r)? };
        let credentials = match (options.get("i2cp.username"), options.get("i2cp.password")) {
            (Some(user), Some(password)) => Some((user.to_owned(), password.to_owned())),
            _ => None,
        };
        Ok(Self::GetDate { version, credentials })
    }

    /// Its type.
    pub fn kind(&self) -> u8 {
        match self {
            Self::CreateSession(_) => 1,
            Self::ReconfigureSession(..) => 2,
            Self::DestroySession(_) => 3,
            Self::CreateLeaseSet(..) => 4,
            Self::Send(send) if send.options.is_some() => 36,
            Self::Send(_) => 5,
            Self::ReceiveBegin(..) => 6,
            Self::ReceiveEnd(..) => 7,
            Self::GetBandwidthLimits => 8,
            Self::SessionStatus(..) => 20,
            Self::RequestLeaseSet(..) => 21,
            Self::MessageStatus(_) => 22,
            Self::BandwidthLimits(_) => 23,
            Self::ReportAbuse => 29,
            Self::Disconnect(_) => 30,
            Self::Payload(..) => 31,
            Self::GetDate { .. } => 32,
            Self::SetDate(..) => 33,
            Self::DestLookup(_) => 34,
            Self::DestReply(_) => 35,
            Self::RequestVariableLeaseSet(..) => 37,
            Self::HostLookup(_) => 38,
            Self::HostReply(_) => 39,
            Self::CreateLeaseSet2(..) => 41,
            Self::BlindingInfo(_) => 42,
            Self::Unknown(kind) => *kind,
        }
    }

    /// Appends it with its header.
    ///
    /// # Errors
    /// `TooLarge` above [`MAX_BODY`]; then `out` is as before.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        let at = out.len();
        out.put_u32(0);
        out.put_u8(self.kind());
        let written = self.write_body(out);
        let len = out.len() - at - super::HEADER_LEN;
        match (written, u32::try_from(len)) {
            (Ok(()), Ok(length)) if len <= MAX_BODY => {
                out[at..at + 4].copy_from_slice(&length.to_be_bytes());
                Ok(())
            }
            (written, _) => {
                out.truncate(at);
                written.and(Err(Error::TooLarge("I2CP message")))
            }
        }
    }

    fn write_body(&self, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::CreateSession(config) => out.put(config.as_bytes()),
            Self::ReconfigureSession(session, config) => {
                out.put_u16(session.0);
                out.put(config.as_bytes());
            }
            Self::DestroySession(session) => out.put_u16(session.0),
            Self::CreateLeaseSet(session, rest) | Self::CreateLeaseSet2(session, rest) => {
                out.put_u16(session.0);
                out.put(rest);
            }
            Self::Send(send) => send.write(out)?,
            Self::ReceiveBegin(session, id) | Self::ReceiveEnd(session, id) => {
                out.put_u16(session.0);
                out.put_u32(*id);
            }
            Self::GetBandwidthLimits | Self::ReportAbuse | Self::Unknown(_) => {}
            Self::SessionStatus(session, status) => {
                out.put_u16(session.0);
                out.put_u8(*status as u8);
            }
            Self::RequestLeaseSet(session, tunnels, end) => {
                out.put_u16(session.0);
                let count = u8::try_from(tunnels.len()).ok().filter(|count| *count <= MAX_LEASES);
                out.put_u8(count.ok_or(Error::TooLarge("leases"))?);
                for (gateway, tunnel) in tunnels {
                    out.put(&gateway.0);
                    out.put_u32(tunnel.0);
                }
                out.put_u64(end.0);
            }
            Self::MessageStatus(MessageStatus { session, id, status, size, nonce }) => {
                out.put_u16(session.0);
                out.put_u32(*id);
                out.put_u8(*status);
                out.put_u32(*size);
                out.put_u32(*nonce);
            }
            Self::BandwidthLimits(limits) => limits.iter().for_each(|limit| out.put_u32(*limit)),
            Self::Disconnect(reason) => write_string(out, reason),
            Self::Payload(session, id, payload) => {
                out.put_u16(session.0);
                out.put_u32(*id);
                write_payload(out, payload)?;
            }
            Self::GetDate { version, credentials } => {
                if let Some(version) = version {
                    write_string(out, version);
                }
                if let (Some(_), Some((user, password))) = (version, credentials) {
                    let mut options = MappingBuf::new();
                    options.set("i2cp.username", user.as_str()).set("i2cp.password", password.as_str());
                    options.write(out)?;
                }
            }
            Self::SetDate(date, version) => {
                out.put_u64(date.0);
                if let Some(version) = version {
                    write_string(out, version);
                }
            }
            Self::DestLookup(hash) | Self::DestReply(Err(hash)) => out.put(&hash.0),
            Self::DestReply(Ok(found)) => out.put(found.as_bytes()),
            Self::RequestVariableLeaseSet(session, leases) => {
                out.put_u16(session.0);
                let count = u8::try_from(leases.len()).ok().filter(|count| *count <= MAX_LEASES);
                out.put_u8(count.ok_or(Error::TooLarge("leases"))?);
                leases.iter().for_each(|lease| lease.write(out));
            }
            Self::HostLookup(lookup) => lookup.write(out),
            Self::HostReply(reply) => reply.write(out)?,
            Self::BlindingInfo(info) => info.write(out),
        }
        Ok(())
    }
}

impl SessionStatus {
    fn parse(code: u8) -> Result<Self> {
        Ok(match code {
            0 => Self::Destroyed,
            1 => Self::Created,
            2 => Self::Updated,
            3 => Self::Invalid,
            4 => Self::Refused,
            _ => return Err(Error::Invalid("session status")),
        })
    }
}

impl Send {
    fn parse(kind: u8, body: &Bytes) -> Result<Self> {
        let mut r = Reader::new(body);
        let session = session(&mut r)?;
        let from = r.position();
        crate::data::keys_and_cert::KeysAndCert::walk(&mut r)?;
        let to = Destination::from_bytes(body.slice(from..r.position()))?;
        let payload = payload(body, &mut r)?;
        let nonce = r.u32()?;
        let options = if kind == 36 {
            let both = r.u64()?;
            Some((u16::try_from(both >> 48).unwrap_or_default(), Wall(both & DATE_MASK)))
        } else {
            None
        };
        r.finish()?;
        Ok(Self { session, to, payload, nonce, options })
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        out.put_u16(self.session.0);
        out.put(self.to.as_bytes());
        write_payload(out, &self.payload)?;
        out.put_u32(self.nonce);
        if let Some((flags, expires)) = self.options {
            out.put_u64(u64::from(flags) << 48 | expires.0 & DATE_MASK);
        }
        Ok(())
    }
}

fn session(r: &mut Reader<'_>) -> Result<SessionId> {
    r.u16().map(SessionId)
}

fn rest(body: &Bytes, r: &mut Reader<'_>) -> Bytes {
    body.slice(r.position()..)
}

fn text(r: &mut Reader<'_>) -> Result<String> {
    string(r).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

fn payload(body: &Bytes, r: &mut Reader<'_>) -> Result<Bytes> {
    let len = usize::try_from(r.u32()?).unwrap_or(usize::MAX);
    let from = r.position();
    r.take(len)?;
    Ok(body.slice(from..from + len))
}

fn write_payload(out: &mut Vec<u8>, payload: &Bytes) -> Result<()> {
    out.put_u32(u32::try_from(payload.len()).map_err(|_| Error::TooLarge("payload"))?);
    out.put(payload);
    Ok(())
}
