//! Opening garlic that is addressed to this router, on a pool of threads of its own: each message costs a
//! Diffie-Hellman, and nobody knows how many a stranger sends.
//!
//! State owned: our static key. In: [`Open`]. Out: the messages inside, as its answer.

use crate::drops::ControlDrop;
use crate::supervise::{Vital, Vitals};
use crate::threads::name_this;
use actix::prelude::*;
use bytes::Bytes;
use ramson_protocol::garlic::clove::{Block, CloveDelivery, blocks};
use ramson_protocol::garlic::noise_n::StaticKey;
use ramson_protocol::i2np::Message as I2np;
use std::sync::Arc;

/// Cloves in one message that are looked at.
const MAX_CLOVES: usize = 16;

/// A worker of the pool.
pub(crate) struct GarlicOpener {
    key: Arc<StaticKey>,
    _vital: Vital,
}

impl GarlicOpener {
    /// A worker with our static key.
    pub(crate) fn new(key: Arc<StaticKey>, vitals: &Vitals) -> Self {
        name_this(c"garlic-opener");
        Self { key, _vital: vitals.guard("a worker that opens garlic") }
    }
}

impl Actor for GarlicOpener {
    type Context = SyncContext<Self>;
}

/// Open the encrypted part of a Garlic message.
#[derive(Message)]
#[rtype(result = "Opened")]
pub(crate) struct Open(pub Bytes);

/// What came out: messages for this router, or the reason why there are none.
#[derive(Debug, MessageResponse)]
pub(crate) struct Opened(pub Result<Vec<I2np>, ControlDrop>);

impl Handler<Open> for GarlicOpener {
    type Result = Opened;

    fn handle(&mut self, open: Open, _: &mut SyncContext<Self>) -> Opened {
        let mut data = open.0.to_vec();
        Opened(match self.key.open(&mut data) {
            Ok((payload, _)) => local_cloves(payload),
            Err(_) => Err(ControlDrop::GarlicNotOurs),
        })
    }
}

/// The messages of a payload that are for whoever opened it. Cloves for others are not sent on: in garlic to a router
/// they would let a stranger make us send to anybody.
pub(crate) fn local_cloves(payload: &[u8]) -> Result<Vec<I2np>, ControlDrop> {
    let mut messages = Vec::new();
    for block in blocks(payload).take(MAX_CLOVES) {
        match block {
            Ok(Block::Clove(clove)) if clove.delivery == CloveDelivery::Local => messages.push(I2np {
                kind: clove.header.kind,
                id: clove.header.id,
                expiration: clove.header.expiration,
                body: Bytes::copy_from_slice(clove.body),
            }),
            Ok(_) => {}
            Err(_) => return Err(ControlDrop::GarlicMalformed),
        }
    }
    Ok(messages)
}
