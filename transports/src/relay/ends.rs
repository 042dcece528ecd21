//! Where tunnels begin and end: gateways cut messages into cells, endpoints put them together again.

use super::{CELL, CELL_LIFETIME_SECS, HopEntry, Onward, Relay};
use crate::event::Received;
use crate::hop::HopKind;
use crate::stats::DropCause;
use bytes::Bytes;
use ramson_protocol::i2np::header::SKEW;
use ramson_protocol::i2np::tunnel_gateway::TunnelGateway;
use ramson_protocol::i2np::{Message, MessageType};
use ramson_protocol::id::TunnelId;
use ramson_protocol::time::Wall;
use ramson_protocol::tunnel::Delivery;
use ramson_protocol::tunnel::cell::PAYLOAD_MAX;
use ramson_protocol::tunnel::fragment::{PackError, Packer};
use ramson_protocol::tunnel::reassembly::{Limits, Reassembler};
use rand::Rng;

/// Type of a TunnelGateway message.
pub(crate) const GATEWAY_MESSAGE: u8 = MessageType::TunnelGateway.code();

impl Relay {
    /// A TunnelGateway message: for the gateway of somebody's inbound tunnel, or for a tunnel of ours without hops.
    pub(crate) fn on_tunnel_gateway(&mut self, on: &mut impl Onward, body: &[u8]) {
        match TunnelGateway::split(body) {
            Ok((tunnel, message)) => self.on_gateway_message(on, tunnel, message),
            Err(_) => self.stats.dropped(DropCause::BadMessage),
        }
    }

    fn on_gateway_message(&mut self, on: &mut impl Onward, tunnel: TunnelId, message: &[u8]) {
        let Some((index, entry)) = self.find(tunnel.0) else { return self.stats.dropped(DropCause::UnknownTunnel) };
        match &entry.hop.kind {
            HopKind::InboundGateway { .. } => {
                let cells = 1 + message.len() / PAYLOAD_MAX;
                if !on.has_room(entry.egress, index, cells) {
                    return self.stats.dropped(DropCause::EgressFull);
                }
                if let Err(cause) = on.judge_message(entry, cells) {
                    return self.stats.dropped(cause);
                }
                self.pack(on, index, message);
            }
            HopKind::InboundWithoutHops => self.emit(on, tunnel, true, message),
            _ => self.stats.dropped(DropCause::WrongKind),
        }
    }

    /// Adds a message to what a gateway has to send. Small messages of one turn share cells.
    fn pack(&mut self, on: &mut impl Onward, index: usize, message: &[u8]) {
        let Some(entry) = self.hops.get_mut(index) else { return };
        let packer = match &mut entry.packer {
            Some(packer) => packer,
            none => {
                self.packing.push(index);
                none.insert(self.packers.pop().unwrap_or_else(|| Box::new(Packer::new())))
            }
        };
        let mut cells = std::mem::take(&mut self.packed);
        match packer.push(&Delivery::Local, message, &mut self.rng, &mut cells) {
            Ok(()) => {}
            Err(PackError::TooLong) => self.stats.dropped(DropCause::TooLarge),
            Err(PackError::Empty | PackError::Full) => self.stats.dropped(DropCause::BadMessage),
        }
        self.send_packed(on, index, &mut cells);
        self.packed = cells;
    }

    /// Sends the last, partly filled cell of every gateway that had messages.
    pub(super) fn flush_packers(&mut self, on: &mut impl Onward) {
        let mut cells = std::mem::take(&mut self.packed);
        while let Some(index) = self.packing.pop() {
            let Some(mut packer) = self.hops.get_mut(index).and_then(|entry| entry.packer.take()) else { continue };
            // A vector always has room.
            let _ = packer.flush(&mut self.rng, &mut cells);
            self.packers.push(packer);
            self.send_packed(on, index, &mut cells);
        }
        self.packed = cells;
    }

    /// Cells of a gateway that are ready but for the cipher.
    fn send_packed(&mut self, on: &mut impl Onward, index: usize, cells: &mut Vec<[u8; CELL]>) {
        let Some(entry) = self.hops.get(index) else { return cells.clear() };
        entry.hop.cells.add(cells.len() as u64);
        for cell in cells.drain(..) {
            if let Err(cause) = self.shape(on, index, &cell) {
                self.stats.dropped(cause);
            }
        }
    }

    /// A cell without its last layer: its messages are complete here, or wait for their rest.
    pub(super) fn on_endpoint_cell(&mut self, on: &mut impl Onward, index: usize, cell: &[u8; CELL]) {
        let Some(entry) = self.hops.get_mut(index) else { return };
        // It leaves the table while messages are delivered, since one may go to a gateway here.
        let kept = entry.reassembly.take().or_else(|| self.reassemblers.pop());
        let mut reassembly = kept.unwrap_or_else(|| Box::new(Reassembler::new(Limits::default())));
        let (tunnel, before) = (entry.hop.id, reassembly.held());
        let result = reassembly.cell(self.now.mono, cell, |delivery, message| {
            self.deliver(on, tunnel, delivery, &message);
        });
        if result.is_err() {
            self.stats.dropped(DropCause::BadFragment);
        }
        self.reassembling = self.reassembling.saturating_sub(before) + reassembly.held();
        if reassembly.held() == 0 {
            // An endpoint between messages holds no memory for them; the next one that needs it takes it.
            self.reassemblers.push(reassembly);
        } else if let Some(entry) = self.hops.get_mut(index) {
            entry.reassembly = Some(reassembly);
        }
        if self.reassembling > self.max_reassembling {
            self.give_up_incomplete();
        }
    }

    /// Gives up what waits for its rest in the tunnels that hold the most, until some of the budget is free.
    fn give_up_incomplete(&mut self) {
        let held = |(index, entry): (usize, &HopEntry)| entry.reassembly.as_ref().map(|held| (held.held(), index));
        let mut all: Vec<(usize, usize)> = self.hops.iter().filter_map(held).collect();
        all.sort_unstable();
        let target = self.max_reassembling / 8 * 7;
        while self.reassembling > target
            && let Some((_, index)) = all.pop()
        {
            let Some(mut kept) = self.hops.get_mut(index).and_then(|entry| entry.reassembly.take()) else { continue };
            self.reassembling = self.reassembling.saturating_sub(kept.give_up());
            self.stats.dropped(DropCause::MemoryFull);
            self.reassemblers.push(kept);
        }
    }

    /// A message that left somebody's outbound tunnel here.
    fn deliver(&mut self, on: &mut impl Onward, from: TunnelId, delivery: Delivery, message: &[u8]) {
        match delivery {
            Delivery::Router(to) if to == self.router => self.emit(on, from, false, message),
            Delivery::Router(to) => match Message::split_std(message) {
                Ok((header, body)) if header.kind != MessageType::TunnelData => {
                    // Whoever made the tunnel may have a clock behind ours, and the receiver judges once more.
                    if header.expiration.plus(SKEW) < self.now.wall {
                        return self.stats.dropped(DropCause::Expired);
                    }
                    let seconds = Wall(header.expiration.0.saturating_add(500)).secs();
                    on.send(from, to, header.kind.code(), header.id.0, seconds, &[body]);
                }
                _ => self.stats.dropped(DropCause::BadMessage),
            },
            Delivery::Tunnel(to, tunnel) if to == self.router => self.on_gateway_message(on, tunnel, message),
            Delivery::Tunnel(to, tunnel) => {
                let Ok(len) = u16::try_from(message.len()) else { return self.stats.dropped(DropCause::TooLarge) };
                let (tunnel, len) = (tunnel.0.to_be_bytes(), len.to_be_bytes());
                let (id, expiration) = (self.rng.next_u32(), self.now.wall.secs() + CELL_LIFETIME_SECS);
                on.send(from, to, GATEWAY_MESSAGE, id, expiration, &[&tunnel, &len, message]);
            }
            // spec: tunnel-message §Delivery Instructions — LOCAL is for inbound tunnels.
            Delivery::Local => self.stats.dropped(DropCause::BadFragment),
        }
    }

    /// A message out of a tunnel, for the control plane.
    fn emit(&mut self, on: &mut impl Onward, tunnel: TunnelId, own: bool, message: &[u8]) {
        match Message::from_std(&Bytes::copy_from_slice(message)) {
            Ok(message) => on.up(Received::TunnelMessage { tunnel, own, message }),
            Err(_) => self.stats.dropped(DropCause::BadMessage),
        }
    }
}
