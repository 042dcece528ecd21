//! Build requests to the router under test as the only real hop: previous and next hop are ours.
//!
//! spec: tunnel-creation-ecies §Short Record Specification

use super::{Outcome, Target, now};
use ramson_crypto::tunnel::LayerCipher;
use ramson_protocol::garlic::clove::{Block, blocks};
use ramson_protocol::i2np::tunnel_gateway::TunnelGateway;
use ramson_protocol::i2np::{Message, MessageType};
use ramson_protocol::id::{MessageId, RouterHash, TunnelId};
use ramson_protocol::tunnel::Role;
use ramson_protocol::tunnel::hop::FORWARD_LIFETIME;
use ramson_protocol::tunnel::record::keys::{RecordKeys, seal_request};
use ramson_protocol::tunnel::record::{ACCEPT, Bandwidth, Form, LIFETIME, Request};
use rand::Rng;
use rand_chacha::ChaCha20Rng;

/// Records in our build messages, the usual number.
const RECORDS: usize = 4;

/// What is asked of the router under test.
#[derive(Clone, Copy, Debug)]
pub struct HopRequest {
    /// The number under which it receives.
    pub receive: TunnelId,
    /// Its place.
    pub role: Role,
    /// The next hop, or for an endpoint the gateway of the reply tunnel.
    pub next: RouterHash,
    /// The number there.
    pub next_tunnel: TunnelId,
}

/// A build message that is ready to be sent, and what is needed to read the answer.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// For the router under test.
    pub message: Message,
    /// What was asked.
    pub request: HopRequest,
    /// The id of the message with the answer, or of the one within the garlic.
    pub reply_id: MessageId,
    index: u8,
    keys: RecordKeys,
}

/// What the router answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildAnswer {
    /// It takes part.
    Accepted,
    /// It does not.
    Refused(u8),
}

impl HopRequest {
    /// Seals the request into one record of a short build message; the others are random.
    ///
    /// # Errors
    /// If the router's key is bad.
    pub fn seal(self, target: &Target, rng: &mut ChaCha20Rng) -> Outcome<Sealed> {
        let (now, form) = (now(), Form::Short);
        let len = form.record_len();
        let mut body = vec![0; 1 + RECORDS * len];
        rng.fill_bytes(&mut body);
        body[0] = RECORDS as u8;
        let index = rng.next_u32() as usize % RECORDS;
        let reply_id = MessageId(rng.next_u32());
        let request = Request {
            receive: self.receive,
            next_tunnel: self.next_tunnel,
            next: self.next,
            role: self.role,
            minutes: now.wall.secs() / 60,
            lifetime: LIFETIME.as_secs() as u32,
            next_message: reply_id,
            bandwidth: Bandwidth::default(),
            long: None,
        };
        let record = &mut body[1 + index * len..1 + (index + 1) * len];
        let keys = seal_request(&request, &target.hash, &target.encryption, record, rng)?;
        let (kind, id) = (form.build_type(), MessageId(rng.next_u32()));
        let message = Message { kind, id, expiration: now.wall.plus(FORWARD_LIFETIME), body: body.into() };
        Ok(Sealed { message, request: self, reply_id, index: index as u8, keys })
    }
}

impl Sealed {
    /// The layer of the router under test.
    pub fn cipher(&self) -> LayerCipher {
        self.keys.hop.cipher()
    }

    /// The answer, if `message` is the one that brings it to the next hop.
    pub fn answer(&self, message: &Message) -> Option<BuildAnswer> {
        let mut body = match self.request.role {
            Role::OutboundEndpoint => self.unwrap_reply(message)?,
            _ if message.id == self.reply_id && message.kind == MessageType::ShortTunnelBuild => message.body.to_vec(),
            _ => return None,
        };
        let record = Form::Short.records_mut(&mut body).ok()?.nth(self.index.into())?;
        match self.keys.open_reply(self.index, record)?.code {
            ACCEPT => Some(BuildAnswer::Accepted),
            code => Some(BuildAnswer::Refused(code)),
        }
    }

    /// The reply of an outbound endpoint: in garlic, in a TunnelGateway message.
    fn unwrap_reply(&self, message: &Message) -> Option<Vec<u8>> {
        if message.kind != MessageType::TunnelGateway {
            return None;
        }
        let gateway = TunnelGateway::parse(&message.body).ok().filter(|g| g.tunnel == self.request.next_tunnel)?;
        let inner = Message::from_std(&gateway.message).ok().filter(|m| m.kind == MessageType::Garlic)?;
        let mut data = inner.body.get(4..)?.to_vec();
        let payload = self.keys.garlic.as_ref()?.open(&mut data)?;
        blocks(payload).filter_map(Result::ok).find_map(|block| match block {
            Block::Clove(clove) if clove.header.id == self.reply_id => Some(clove.body.to_vec()),
            _ => None,
        })
    }
}
