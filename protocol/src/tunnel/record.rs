//! Build records: what a creator asks of one hop, and what the hop answers. Each in a short form (218 bytes sealed,
//! messages 25 and 26) and a long one (528 bytes, messages 23 and 24), which differ in where the keys come from: the
//! short form derives all of them from the Noise state, the long one carries the layer keys and an AES reply key.
//!
//! ```text
//! request, short (154)            request, long (464)
//!   0  receive tunnel (4)           0  receive tunnel (4)
//!   4  next tunnel (4)              4  next tunnel (4)
//!   8  next router (32)             8  next router (32)
//!  40  flags (1), 0 0              40  layer key (32), IV key (32)
//!  43  layer encryption (1)       104  reply key (32), reply IV (16)
//!  44  time, min (4)              152  flags (1), 0 0 0
//!  48  lifetime, s (4)            156  time, min (4)
//!  52  next message id (4)        160  lifetime, s (4)
//!  56  options, padding           164  next message id (4)
//!                                 168  options, padding
//! reply (202 or 512):  options | padding | code (1)
//! sealed request:      hop's hash (16) | ephemeral key (32) | ciphertext | tag (16)
//! sealed reply:        ciphertext | tag (16)
//! ```
//!
//! spec: tunnel-creation-ecies §Short Record Specification, §Long Record Specification; proposals 157, 168

pub mod keys;

use super::Role;
use crate::data::mapping::{Mapping, MappingBuf};
use crate::i2np::MessageType;
use crate::id::{MessageId, RouterHash, TunnelId};
use crate::time::Wall;
use crate::wire::{Error, Reader, Result, Writer};
use rand::Rng;
use rand_chacha::ChaCha20Rng;
use std::time::Duration;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Records in a build message: one to eight.
pub const RECORDS_MAX: usize = 8;
/// Bytes of a router's hash at the start of a record.
pub const PREFIX_LEN: usize = 16;
/// How long a tunnel lives: the only lifetime there is.
pub const LIFETIME: Duration = Duration::from_secs(600);
/// The reply code of a hop that takes part.
pub const ACCEPT: u8 = 0;
/// The reply code of a hop that does not, whatever its reason.
///
/// spec: tunnel-creation-ecies §Reply Record Unencrypted — one code, to avoid fingerprinting.
pub const REFUSE: u8 = 30;

const GATEWAY: u8 = 0x80;
const ENDPOINT: u8 = 0x40;
const LAYER_AES: u8 = 0;

/// The form of a build message and of all its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// Since 0.9.51.
    Short,
    /// Before.
    Long,
}

impl Form {
    /// Bytes of a sealed record.
    pub fn record_len(self) -> usize {
        match self {
            Self::Short => 218,
            Self::Long => 528,
        }
    }

    /// Bytes of a request in the clear.
    pub fn request_len(self) -> usize {
        match self {
            Self::Short => 154,
            Self::Long => 464,
        }
    }

    /// Bytes of a reply in the clear.
    pub fn reply_len(self) -> usize {
        match self {
            Self::Short => 202,
            Self::Long => 512,
        }
    }

    /// The type of the message that goes from hop to hop.
    pub fn build_type(self) -> MessageType {
        match self {
            Self::Short => MessageType::ShortTunnelBuild,
            Self::Long => MessageType::VariableTunnelBuild,
        }
    }

    /// The type of the message that an outbound endpoint sends back.
    pub fn reply_type(self) -> MessageType {
        match self {
            Self::Short => MessageType::OutboundTunnelBuildReply,
            Self::Long => MessageType::VariableTunnelBuildReply,
        }
    }

    /// The form of a build message of this type.
    pub fn of_build(kind: MessageType) -> Option<Self> {
        [Self::Short, Self::Long].into_iter().find(|form| form.build_type() == kind)
    }

    /// The records of a build or reply message, in their order.
    ///
    /// # Errors
    /// If their number is not 1 to 8, or does not match the length of the body.
    pub fn records(self, body: &[u8]) -> Result<std::slice::ChunksExact<'_, u8>> {
        let (count, records) = body.split_first().ok_or(Error::Truncated { need: 1, have: 0 })?;
        self.check(*count, records.len())?;
        Ok(records.chunks_exact(self.record_len()))
    }

    /// [`Form::records`], to be changed in place.
    ///
    /// # Errors
    /// As there.
    pub fn records_mut(self, body: &mut [u8]) -> Result<std::slice::ChunksExactMut<'_, u8>> {
        let (count, records) = body.split_first_mut().ok_or(Error::Truncated { need: 1, have: 0 })?;
        self.check(*count, records.len())?;
        Ok(records.chunks_exact_mut(self.record_len()))
    }

    fn check(self, count: u8, have: usize) -> Result<()> {
        let need = usize::from(count) * self.record_len();
        match count {
            0 => Err(Error::Invalid("number of build records")),
            9.. => Err(Error::TooLarge("number of build records")),
            _ if have < need => Err(Error::Truncated { need, have }),
            _ if have > need => Err(Error::Trailing(have - need)),
            _ => Ok(()),
        }
    }
}

/// What a creator says about a tunnel's traffic, in KB/s of cells. Absent is "not said".
///
/// spec: proposal 168 §Build Request Options
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bandwidth {
    /// `m`: a hop that cannot give this refuses.
    pub minimum: Option<u32>,
    /// `r`: wished for.
    pub requested: Option<u32>,
    /// `l`: more must not enter. Said to inbound gateways only.
    pub limit: Option<u32>,
}

impl Bandwidth {
    /// True if a hop that accepts has to say what it can give.
    pub fn wants_answer(&self) -> bool {
        self.minimum.is_some() || self.requested.is_some()
    }

    fn read(options: &Mapping<'_>) -> Self {
        let [minimum, requested, limit] = ["m", "r", "l"].map(|key| number(options, key));
        Self { minimum, requested, limit }
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        let mut options = MappingBuf::new();
        for (key, value) in [("m", self.minimum), ("r", self.requested), ("l", self.limit)] {
            if let Some(value) = value {
                options.set(key, value.to_string());
            }
        }
        options.write(out)
    }
}

/// The keys that only a long request carries.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct LongKeys {
    /// Layer key.
    pub layer: [u8; 32],
    /// IV key.
    pub iv: [u8; 32],
    /// AES key over the other records of the message.
    pub reply: [u8; 32],
    /// The IV to that.
    pub reply_iv: [u8; 16],
}

impl LongKeys {
    /// New random keys.
    pub fn random(rng: &mut ChaCha20Rng) -> Self {
        let mut keys = Self { layer: [0; 32], iv: [0; 32], reply: [0; 32], reply_iv: [0; 16] };
        for key in [&mut keys.layer, &mut keys.iv, &mut keys.reply] {
            rng.fill_bytes(key);
        }
        rng.fill_bytes(&mut keys.reply_iv);
        keys
    }
}

impl std::fmt::Debug for LongKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LongKeys(..)")
    }
}

/// What a creator asks of one hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The number under which the hop receives.
    pub receive: TunnelId,
    /// The number under which the next hop receives; for an outbound endpoint, that of the reply tunnel.
    pub next_tunnel: TunnelId,
    /// The next hop; for an outbound endpoint, the gateway of the reply tunnel.
    pub next: RouterHash,
    /// The hop's place.
    pub role: Role,
    /// When the request was made, in minutes since 1970, rounded down.
    pub minutes: u32,
    /// How long the tunnel is to live, in seconds: 600.
    pub lifetime: u32,
    /// The id of the message that the hop sends on.
    pub next_message: MessageId,
    /// What the creator says about traffic.
    pub bandwidth: Bandwidth,
    /// Present in the long form, and only there.
    pub long: Option<LongKeys>,
}

impl Request {
    /// The form this request is written in.
    pub fn form(&self) -> Form {
        if self.long.is_some() { Form::Long } else { Form::Short }
    }

    /// When the request was made.
    pub fn made(&self) -> Wall {
        Wall(u64::from(self.minutes) * 60_000)
    }

    /// Reads a request in the clear. Options that are malformed or unknown are ignored.
    ///
    /// # Errors
    /// If it is truncated, a tunnel id is zero, both places are flagged, or the layer encryption is not AES.
    pub fn parse(form: Form, plain: &[u8]) -> Result<Self> {
        let mut r = Reader::new(plain);
        let (receive, next_tunnel, next) = (r.u32()?, r.u32()?, RouterHash(r.array()?));
        let long = match form {
            Form::Short => None,
            Form::Long => Some(LongKeys { layer: r.array()?, iv: r.array()?, reply: r.array()?, reply_iv: r.array()? }),
        };
        let flags = r.u8()?;
        match form {
            Form::Short => {
                r.take(2)?;
                // spec: tunnel-creation-ecies §Layer Encryption — only type 0, AES.
                if r.u8()? != LAYER_AES {
                    return Err(Error::Invalid("layer encryption"));
                }
            }
            Form::Long => _ = r.take(3)?,
        }
        let role = match (flags & GATEWAY != 0, flags & ENDPOINT != 0) {
            (false, false) => Role::Participant,
            (true, false) => Role::InboundGateway,
            (false, true) => Role::OutboundEndpoint,
            (true, true) => return Err(Error::Invalid("build record flags")),
        };
        if receive == 0 || next_tunnel == 0 {
            return Err(Error::Invalid("build record tunnel id"));
        }
        let (minutes, lifetime, next_message) = (r.u32()?, r.u32()?, MessageId(r.u32()?));
        let bandwidth = Mapping::parse(&mut r).map_or_else(|_| Bandwidth::default(), |m| Bandwidth::read(&m));
        let (receive, next_tunnel) = (TunnelId(receive), TunnelId(next_tunnel));
        Ok(Self { receive, next_tunnel, next, role, minutes, lifetime, next_message, bandwidth, long })
    }

    /// The request in the clear, with random padding.
    ///
    /// # Errors
    /// If the options do not fit.
    pub fn write(&self, rng: &mut ChaCha20Rng) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(self.form().request_len());
        out.put_u32(self.receive.0);
        out.put_u32(self.next_tunnel.0);
        out.put(&self.next.0);
        let flags = match self.role {
            Role::Participant => 0,
            Role::InboundGateway => GATEWAY,
            Role::OutboundEndpoint => ENDPOINT,
        };
        match &self.long {
            None => out.put(&[flags, 0, 0, LAYER_AES]),
            Some(keys) => {
                for key in [&keys.layer, &keys.iv, &keys.reply] {
                    out.put(key);
                }
                out.put(&keys.reply_iv);
                out.put(&[flags, 0, 0, 0]);
            }
        }
        out.put_u32(self.minutes);
        out.put_u32(self.lifetime);
        out.put_u32(self.next_message.0);
        self.bandwidth.write(&mut out)?;
        pad(&mut out, self.form().request_len(), rng)?;
        Ok(out)
    }
}

/// What a hop answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// [`ACCEPT`] or a refusal; [`REFUSE`] is the only one we send.
    pub code: u8,
    /// `b`: what the hop means to give, in KB/s of cells.
    pub bandwidth: Option<u32>,
}

impl Reply {
    /// Reads a reply in the clear: its last byte, and the options if they can be read.
    ///
    /// # Errors
    /// If it is empty.
    pub fn parse(plain: &[u8]) -> Result<Self> {
        let (code, options) = plain.split_last().ok_or(Error::Truncated { need: 1, have: 0 })?;
        let bandwidth = Mapping::parse(&mut Reader::new(options)).ok().and_then(|m| number(&m, "b"));
        Ok(Self { code: *code, bandwidth })
    }

    /// The reply in the clear, with random padding.
    ///
    /// # Errors
    /// If the options do not fit.
    pub fn write(&self, form: Form, rng: &mut ChaCha20Rng) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(form.record_len());
        let mut options = MappingBuf::new();
        if let Some(b) = self.bandwidth {
            options.set("b", b.to_string());
        }
        options.write(&mut out)?;
        pad(&mut out, form.reply_len() - 1, rng)?;
        out.put_u8(self.code);
        Ok(out)
    }
}

fn pad(out: &mut Vec<u8>, len: usize, rng: &mut ChaCha20Rng) -> Result<()> {
    let end = out.len();
    if end > len {
        return Err(Error::TooLarge("build options"));
    }
    out.resize(len, 0);
    rng.fill_bytes(&mut out[end..]);
    Ok(())
}

/// spec: proposal 168 — a positive integer as a string. Anything else counts as not said.
fn number(options: &Mapping<'_>, key: &str) -> Option<u32> {
    options.get(key)?.parse().ok().filter(|n| *n > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;

    fn sample(form: Form, role: Role, bandwidth: Bandwidth) -> Request {
        let rng = &mut ChaCha20Rng::from_seed([1; 32]);
        Request {
            receive: TunnelId(0x0102_0304),
            next_tunnel: TunnelId(5),
            next: RouterHash([6; 32]),
            role,
            minutes: 28_000_000,
            lifetime: 600,
            next_message: MessageId(7),
            bandwidth,
            long: (form == Form::Long).then(|| LongKeys::random(rng)),
        }
    }

    #[test]
    fn a_short_request_has_the_layout_of_the_specification() {
        let m = Bandwidth { minimum: Some(12), ..Bandwidth::default() };
        let request = sample(Form::Short, Role::InboundGateway, m);
        let plain = request.write(&mut ChaCha20Rng::from_seed([2; 32])).unwrap();
        assert_eq!(plain.len(), 154);
        assert_eq!(plain[..8], [1, 2, 3, 4, 0, 0, 0, 5]);
        assert_eq!(plain[8..40], [6; 32]);
        assert_eq!(plain[40..44], [0x80, 0, 0, 0]);
        assert_eq!(plain[44..48], 28_000_000_u32.to_be_bytes());
        assert_eq!(plain[48..56], [0, 0, 2, 88, 0, 0, 0, 7]);
        assert_eq!(plain[56..65], *b"\0\x07\x01m=\x0212;");
    }

    #[test]
    fn a_long_request_has_the_layout_of_the_specification() {
        let request = sample(Form::Long, Role::OutboundEndpoint, Bandwidth::default());
        let plain = request.write(&mut ChaCha20Rng::from_seed([2; 32])).unwrap();
        let keys = request.long.as_ref().unwrap();
        assert_eq!(plain.len(), 464);
        assert_eq!(plain[40..72], keys.layer);
        assert_eq!(plain[136..152], keys.reply_iv);
        assert_eq!(plain[152..156], [0x40, 0, 0, 0]);
        assert_eq!(plain[164..170], [0, 0, 0, 7, 0, 0]);
    }

    #[test]
    fn requests_that_the_specification_forbids_are_refused() {
        let request = sample(Form::Short, Role::Participant, Bandwidth::default());
        let plain = request.write(&mut ChaCha20Rng::from_seed([2; 32])).unwrap();
        for (at, value, want) in [
            (40, 0xc0, Error::Invalid("build record flags")),
            (43, 1, Error::Invalid("layer encryption")),
            (7, 0, Error::Invalid("build record tunnel id")),
        ] {
            let mut bad = plain.clone();
            bad[at] = value;
            assert_eq!(Request::parse(Form::Short, &bad), Err(want));
        }
        for cut in 0..56 {
            assert!(Request::parse(Form::Short, &plain[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn options_that_are_no_positive_numbers_count_as_not_said() {
        for text in ["0", "-1", "x", "", "99999999999"] {
            let mut options = MappingBuf::new();
            options.set("m", text).set("zz", "unknown");
            let mut out = Vec::new();
            options.write(&mut out).unwrap();
            assert_eq!(Bandwidth::read(&Mapping::parse(&mut Reader::new(&out)).unwrap()), Bandwidth::default());
        }
    }

    #[test]
    fn a_reply_comes_back_with_and_without_bandwidth() {
        let rng = &mut ChaCha20Rng::from_seed([2; 32]);
        for form in [Form::Short, Form::Long] {
            for bandwidth in [None, Some(250)] {
                let reply = Reply { code: REFUSE, bandwidth };
                let plain = reply.write(form, rng).unwrap();
                assert_eq!(plain.len(), form.reply_len());
                assert_eq!(Reply::parse(&plain), Ok(reply));
            }
        }
        assert_eq!(Reply::parse(&[0xff, 0xff, 0]), Ok(Reply { code: 0, bandwidth: None }));
    }

    #[test]
    fn a_message_holds_one_to_eight_records_and_nothing_else() {
        for form in [Form::Short, Form::Long] {
            assert_eq!(form.record_len(), 64 + form.request_len());
            for n in 0..=9_u8 {
                let mut body = vec![0; 1 + usize::from(n) * form.record_len()];
                body[0] = n;
                assert_eq!(form.records(&body).is_ok(), (1..=8).contains(&n));
                assert!(form.records(&body[..body.len() - 1]).is_err());
                body.push(0);
                assert!(form.records_mut(&mut body).is_err());
            }
        }
    }

    proptest! {
        #[test]
        fn writing_and_reading_is_the_identity(
            ids in (1u32.., 1u32.., any::<u32>(), any::<u32>()),
            m in prop::option::of(1u32..), r in prop::option::of(1u32..), l in prop::option::of(1u32..),
            long: bool, place in 0..3_usize,
        ) {
            let form = if long { Form::Long } else { Form::Short };
            let role = [Role::Participant, Role::InboundGateway, Role::OutboundEndpoint][place];
            let mut request = sample(form, role, Bandwidth { minimum: m, requested: r, limit: l });
            (request.receive, request.next_tunnel) = (ids.0.into(), ids.1.into());
            (request.minutes, request.next_message) = (ids.2, ids.3.into());
            let plain = request.write(&mut ChaCha20Rng::from_seed([3; 32])).unwrap();
            prop_assert_eq!(Request::parse(form, &plain), Ok(request));
        }
    }
}
