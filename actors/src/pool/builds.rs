//! Builds under way: hops are chosen, a worker seals the message, its answer is expected, the message goes.
//!
//! ```text
//! Out::Build -> hops chosen -> sealed by a worker -> answer expected, inbound endpoint installed -> sent
//!                   |                |                                                               |
//!                   | none           | bad key                    answer, or the core's time-out, or first hop gone
//!                   v                v                                                               v
//!               In::Failed       In::Failed                                         In::Built, In::Failed, nothing
//! ```
//!
//! spec: tunnel-creation-ecies §Message Flow

use super::builder::{Prepare, Prepared};
use super::tunnel::{End, InboundTunnel, OutboundTunnel};
use super::{HopsInUse, Own, Route, TunnelPool};
use crate::expected::{Via, Waiter};
use crate::mailbox::{Mailbox, wait_for_room};
use crate::messages::{Arrived, Token};
use crate::paths::{InboundTunnelRef, OutboundTunnelRef};
use crate::profiles::Choose;
use crate::series::control;
use crate::series::outcomes::BuildOutcome;
use actix::prelude::*;
use ramson_protocol::garlic::one_time::OneTimeKey;
use ramson_protocol::id::{MessageId, RouterHash, TunnelId};
use ramson_protocol::peers::Chosen;
use ramson_protocol::peers::profile::{Event, Shared as SharedEvent};
use ramson_protocol::pool::{BuildFailure, In, Pair, PoolTunnelId};
use ramson_protocol::time::Mono;
use ramson_protocol::tunnel::build::{Build, Outcome, Path, Started, Tunnel, Verdict};
use ramson_protocol::tunnel::record::Form;
use ramson_protocol::tunnel::{Delivery, Direction};
use ramson_transports::hop::NextHop;
use std::sync::Arc;

/// A build under way. What it reserved is given back when it is dropped without a tunnel.
pub(super) struct Building {
    direction: Direction,
    hops: HopsInUse,
    /// Through which outbound tunnel the message goes; `None` if directly to the first hop.
    through: Option<OutboundTunnelRef>,
    /// Where the answer to an outbound build comes.
    reply: InboundTunnelRef,
    sent: Option<Sent>,
}

impl Building {
    /// The endpoint that stands already, to be ended.
    pub(super) fn into_endpoint(self) -> Option<(TunnelId, Addr<InboundTunnel>)> {
        self.sent.and_then(|sent| sent.endpoint)
    }
}

struct Sent {
    build: Build,
    reply: MessageId,
    /// The endpoint of an inbound tunnel, which stands before the answer comes.
    endpoint: Option<(TunnelId, Addr<InboundTunnel>)>,
}

/// Which way, as a label.
pub(super) fn direction_label(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
    }
}

fn count(direction: Direction, result: BuildOutcome) {
    let direction = direction_label(direction);
    control::OWN_BUILDS.add([direction, result.label()], 1);
}

impl TunnelPool {
    /// Begins a build that the core asks for.
    pub(super) fn build(
        &mut self,
        id: PoolTunnelId,
        direction: Direction,
        length: usize,
        pair: Pair,
        ctx: &mut Context<Self>,
    ) {
        let pair = match pair {
            Pair::Tunnel(pair) => self.tunnels.get(&pair).map(|own| (own.route, own.hops.to_vec())),
            Pair::Direct => None,
        };
        let (us, direct) = (self.shared.hash(), self.without_hops.id());
        let (mut through, mut avoid) = (None, Vec::new());
        let mut reply = InboundTunnelRef { id: direct, gateway: us, gateway_tunnel: direct, expires: Mono::MAX };
        match &pair {
            Some((Route::Outbound(tunnel), hops)) => (through, avoid) = (Some(*tunnel), hops.clone()),
            Some((Route::Inbound(tunnel), hops)) => (reply, avoid) = (*tunnel, hops.clone()),
            None => {}
        }
        let building = Building { direction, hops: HopsInUse::default(), through, reply, sent: None };
        self.builds.insert(id, Box::new(building));
        let (purpose, order) = (self.config.purpose, self.order);
        // The hops of the paired tunnel are left out if there are others: the message does not pass through one router twice,
        // and nobody stands in both directions.
        let last_calls_us = direction == Direction::Inbound || pair.is_none();
        let named = Arc::clone(&self.config.hops);
        let wish = Choose { hops: length, direction, last_calls_us, purpose, avoid, order, named };
        ctx.spawn(self.profiles.send(wish).into_actor(self).map(move |chosen, actor, ctx| match chosen {
            Ok(Ok(chosen)) => actor.seal(id, chosen, ctx),
            Ok(Err(_)) | Err(_) => {
                actor.fail_build(id, BuildFailure::NoPeers);
                actor.settle(ctx);
            }
        }));
    }

    /// Hops are chosen: has the message sealed.
    fn seal(&mut self, id: PoolTunnelId, chosen: Chosen, ctx: &mut Context<Self>) {
        // While it waited for its turn the core may have given up.
        let Some(building) = self.builds.get_mut(&id) else { return };
        building.hops = self.in_use.hold(chosen.hops.iter().map(|hop| hop.hash).collect());
        let path = match building.direction {
            Direction::Inbound => Path::Inbound {
                receive: self.shared.tunnel_ids().reserve(self.config.owner),
                wrap: building.through.is_some() && chosen.form == Form::Short,
            },
            Direction::Outbound => {
                Path::Outbound { reply_gateway: building.reply.gateway, reply_tunnel: building.reply.gateway_tunnel }
            }
        };
        let prepare = Prepare { chosen, path, now: self.shared.now() };
        ctx.spawn(self.builder.send(prepare).into_actor(self).map(move |prepared, actor, ctx| {
            match prepared {
                Ok(Prepared(Ok(started))) => actor.send_build(id, path, started, ctx),
                Ok(Prepared(Err(_))) | Err(_) => {
                    actor.release(path);
                    actor.fail_build(id, BuildFailure::Unsent);
                }
            }
            actor.settle(ctx);
        }));
    }

    /// The number that an inbound build reserved goes back.
    fn release(&self, path: Path) {
        if let Path::Inbound { receive, .. } = path {
            self.shared.tunnel_ids().release(receive);
        }
    }

    /// The message is sealed: says what is expected, then sends it.
    fn send_build(&mut self, id: PoolTunnelId, path: Path, started: Started, ctx: &mut Context<Self>) {
        let Some(building) = self.builds.get_mut(&id) else {
            // The worker was so slow that the core has given up.
            return self.release(path);
        };
        let Started { build, to, message } = started;
        let reply = build.reply_id();
        let garlic = build.reply_key();
        let endpoint = match path {
            Path::Inbound { receive, .. } => {
                let last = building.hops.last().copied().unwrap_or(to);
                Some((receive, InboundTunnel::begin(&self.shared, self.config.owner, receive, build.ciphers(), last)))
            }
            Path::Outbound { .. } => None,
        };
        // spec: tunnel-creation-ecies §Message Flow — the answer to an inbound build is the message itself, from the last
        // hop's session; that to an outbound one comes by the tunnel that it named.
        let via = match path {
            Path::Inbound { .. } => Via::Router,
            Path::Outbound { .. } => Via::Tunnel(building.reply.id),
        };
        let through = building.through;
        building.sent = Some(Sent { build, reply, endpoint });
        let (to_us, until) = (ctx.address().recipient(), self.shared.now().mono + self.patience);
        let waiter = Waiter { to: to_us, mailbox: Mailbox::Pool, via, until };
        let expected = self.shared.expected().expect(self.config.owner, Token::BuildReply(reply), waiter);
        if let Some(key) = garlic {
            let key = OneTimeKey { key: key.key, tag: key.tag };
            self.shared.expected().expect_garlic(self.config.owner, key, via, until);
        }
        let sent = expected
            && match through {
                Some(tunnel) => self.shared.send_through(&tunnel, Delivery::Router(to), message),
                None => self.shared.send(to, message),
            };
        if !sent {
            self.fail_build(id, BuildFailure::Unsent);
        }
    }

    /// The answer to a build has come.
    pub(super) fn on_answer(&mut self, arrived: &Arrived) {
        let Token::BuildReply(reply) = arrived.token else { return };
        let is_it = |b: &Building| b.sent.as_ref().is_some_and(|s| s.reply == reply);
        let Some(id) = self.builds.iter().find(|(_, b)| is_it(b)).map(|(id, _)| *id) else { return };
        let Some(Building { direction, hops, sent: Some(sent), .. }) =
            self.builds.remove(&id).map(|building| *building)
        else {
            return;
        };
        let Sent { build, endpoint, .. } = sent;
        let outcome = match build.is_answer(arrived.message.kind) {
            true => build.finish(arrived.message.body.to_vec()).ok(),
            false => None,
        };
        let Some(Outcome { verdicts, tunnel }) = outcome else {
            self.note_shared(&hops, SharedEvent::BuildTimedOut);
            end(endpoint);
            return self.build_failed(id, direction, BuildFailure::Refused);
        };
        self.note_verdicts(&hops, &verdicts);
        match tunnel.and_then(|tunnel| self.own_tunnel(&tunnel, hops, &endpoint).map(|own| (own, tunnel.expires()))) {
            Some((own, expires)) => {
                count(direction, BuildOutcome::Ok);
                self.tunnels.insert(id, own);
                self.changed = true;
                self.input(In::Built { id, expires });
            }
            None => {
                end(endpoint);
                self.build_failed(id, direction, BuildFailure::Refused);
            }
        }
    }

    /// How a built tunnel is used. The gateway of an outbound one is installed here.
    fn own_tunnel(
        &self,
        tunnel: &Tunnel,
        hops: HopsInUse,
        endpoint: &Option<(TunnelId, Addr<InboundTunnel>)>,
    ) -> Option<Own> {
        let (gateway, gateway_tunnel) = tunnel.gateway()?;
        if let Some((id, actor)) = endpoint {
            let route =
                Route::Inbound(InboundTunnelRef { id: *id, gateway, gateway_tunnel, expires: tunnel.expires() });
            return Some(Own { route, hops, actor: actor.clone().recipient() });
        }
        let id = self.shared.tunnel_ids().reserve(self.config.owner);
        let next = NextHop { router: gateway, tunnel: gateway_tunnel };
        let actor = OutboundTunnel::begin(&self.shared, self.config.owner, id, tunnel.ciphers(), next);
        let route = Route::Outbound(OutboundTunnelRef { id, first_hop: gateway });
        Some(Own { route, hops, actor: actor.recipient() })
    }

    fn note_verdicts(&self, hops: &[RouterHash], verdicts: &[(RouterHash, Verdict)]) {
        let event = |verdict: &Verdict| match verdict {
            Verdict::Accepted { .. } => Some(Event::Accepted),
            Verdict::Refused(_) => Some(Event::Refused),
            Verdict::Unreadable => None,
        };
        self.note(verdicts.iter().filter_map(|(hash, verdict)| Some((*hash, event(verdict)?))).collect());
        let unreadable = verdicts.iter().any(|(_, verdict)| matches!(verdict, Verdict::Unreadable));
        if unreadable {
            // Whoever spoiled the record is one of them, and not always the one whose record it is.
            self.note_shared(hops, SharedEvent::BuildTimedOut);
        }
    }

    /// No answer came in time.
    pub(super) fn build_timed_out(&mut self, id: PoolTunnelId) {
        let Some(building) = self.builds.remove(&id) else { return };
        count(building.direction, BuildOutcome::Timeout);
        self.note_shared(&building.hops, SharedEvent::BuildTimedOut);
        end(building.into_endpoint());
    }

    /// A router cannot be reached: builds that wait for it to take their message have failed.
    pub(super) fn first_hop_gone(&mut self, peer: RouterHash) {
        let waits = |b: &Building| match b.through {
            Some(tunnel) => tunnel.first_hop == peer,
            None => b.hops.first() == Some(&peer),
        };
        let failed: Vec<PoolTunnelId> = self.builds.iter().filter(|(_, b)| waits(b)).map(|(id, _)| *id).collect();
        for id in failed {
            self.fail_build(id, BuildFailure::Unsent);
        }
    }

    /// Ends a build that is in the table.
    fn fail_build(&mut self, id: PoolTunnelId, why: BuildFailure) {
        let Some(building) = self.builds.remove(&id) else { return };
        let direction = building.direction;
        end(building.into_endpoint());
        self.build_failed(id, direction, why);
    }

    fn build_failed(&mut self, id: PoolTunnelId, direction: Direction, why: BuildFailure) {
        let result = match why {
            BuildFailure::Refused => BuildOutcome::Refused,
            BuildFailure::Unsent => BuildOutcome::Unsent,
            BuildFailure::NoPeers => BuildOutcome::NoPeers,
        };
        count(direction, result);
        self.input(In::Failed { id, why });
    }
}

pub(super) fn end(endpoint: Option<(TunnelId, Addr<InboundTunnel>)>) {
    if let Some((_, actor)) = endpoint {
        wait_for_room(&actor, End);
    }
}
