//! Tests of our tunnels: a DeliveryStatus to ourselves, out through one and back through another.
//!
//! It travels in garlic under a key that only we have, so that neither the endpoint of the one nor the gateway of the
//! other sees what it is.
//!
//! spec: tunnel-implementation §Tunnel Testing

use super::{Route, TunnelPool};
use crate::expected::{Via, Waiter};
use crate::mailbox::Mailbox;
use crate::messages::Token;
use actix::prelude::*;
use ramson_protocol::garlic::clove::{Clove, CloveDelivery, write_date_time};
use ramson_protocol::garlic::one_time::OneTimeKey;
use ramson_protocol::i2np::MessageType;
use ramson_protocol::i2np::delivery_status::DeliveryStatus;
use ramson_protocol::id::MessageId;
use ramson_protocol::pool::{In, PoolTunnelId, TestId};
use ramson_protocol::tunnel::Delivery;
use rand::Rng;

impl TunnelPool {
    /// Sends the message of a test. If it cannot be sent the core's time-out finds it failed.
    pub(super) fn test(
        &mut self,
        test: TestId,
        outbound: PoolTunnelId,
        inbound: PoolTunnelId,
        ctx: &mut Context<Self>,
    ) {
        let route = |id| self.tunnels.get(&id).map(|own| own.route);
        let (Some(Route::Outbound(out)), Some(Route::Inbound(back))) = (route(outbound), route(inbound)) else {
            return;
        };
        let now = self.shared.now();
        let id = MessageId(self.rng.next_u32());
        let mut key = OneTimeKey { key: [0; 32], tag: [0; 8] };
        self.rng.fill_bytes(&mut key.key);
        self.rng.fill_bytes(&mut key.tag);
        let status = self.shared.message(MessageType::DeliveryStatus, DeliveryStatus { id, time: now.wall }.to_body());
        let mut payload = Vec::with_capacity(64);
        write_date_time(now.wall, &mut payload);
        let clove = Clove { delivery: CloveDelivery::Local, header: status.header(), body: &status.body };
        if clove.write(&mut payload).is_err() {
            return;
        }
        let (within, owner, via) = (self.patience, self.config.owner, Via::Tunnel(back.id));
        let waiter = Waiter { to: ctx.address().recipient(), mailbox: Mailbox::Pool, via, until: now.mono + within };
        if !self.shared.expected().expect(owner, Token::Delivery(id), waiter) {
            return;
        }
        self.shared.expected().expect_garlic(owner, key.clone(), via, now.mono + within);
        // A test that was lost leaves its entry; by now nobody expects it any more.
        self.tests.retain(|_, (_, sent)| now.mono < *sent + within);
        self.tests.insert(id, (test, now.mono));
        let garlic = self.shared.message(MessageType::Garlic, key.seal(&payload));
        self.shared.send_through(&out, Delivery::Tunnel(back.gateway, back.gateway_tunnel), garlic);
    }

    /// A test's message is back.
    pub(super) fn on_delivery(&mut self, id: MessageId) {
        if let Some((test, _)) = self.tests.remove(&id) {
            self.input(In::TestPassed { test });
        }
    }
}
