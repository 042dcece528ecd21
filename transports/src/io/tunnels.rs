//! Where tunnels begin and end: gateways cut messages into cells, endpoints put them together again.

use super::relay::CELL;
use super::{Egress, HopEntry, IoThread};
use crate::event::Received;
use crate::hop::HopKind;
use crate::io::CELL_MESSAGE;
use crate::stats::DropCause;
use bytes::Bytes;
use ramson_protocol::i2np::header::STANDARD_LEN;
use ramson_protocol::i2np::tunnel_gateway::TunnelGateway;
use ramson_protocol::i2np::{Message, MessageType};
use ramson_protocol::tunnel::Delivery;
use ramson_protocol::tunnel::cell::PAYLOAD_MAX;
use ramson_protocol::tunnel::fragment::{PackError, Packer};
use ramson_protocol::tunnel::reassembly::{Limits, Reassembler};
use ramson_protocol::wire::Reader;
use rand::Rng;

/// Type of a TunnelGateway message.
pub(super) const GATEWAY_MESSAGE: u8 = MessageType::TunnelGateway.code();

impl IoThread {
    /// A TunnelGateway message: for the gateway of somebody's inbound tunnel, or for a tunnel of ours without hops.
    pub(super) fn on_tunnel_gateway(&mut self, body: &[u8]) {
        let Ok((tunnel, message)) = TunnelGateway::split(body) else {
            return self.stats.dropped(DropCause::BadMessage);
        };
        let Some(&index) = self.by_tunnel.get(&tunnel.0) else { return self.stats.dropped(DropCause::UnknownTunnel) };
        let Some(entry) = self.hops.get(index) else { return };
        match &entry.hop.kind {
            HopKind::InboundGateway { .. } => {
                let (egress, cells) = (entry.egress, 1 + message.len() / PAYLOAD_MAX);
                if let Egress::Local(peer) = egress
                    && !self.fits_backlog(peer, index, cells)
                {
                    return self.stats.dropped(DropCause::EgressFull);
                }
                let Some(entry) = self.hops.get(index) else { return };
                if let Err(cause) = self.shaper.judge_message(&entry.hop, entry.flow, cells, self.now.mono) {
                    return self.stats.dropped(cause);
                }
                self.pack(index, &Delivery::Local, message);
            }
            HopKind::InboundWithoutHops => {
                let tunnel = entry.hop.id;
                self.emit_tunnel_message(tunnel, true, message);
            }
            _ => self.stats.dropped(DropCause::WrongKind),
        }
    }

    /// Adds a message to what a gateway has to send. Small messages of one turn share cells.
    fn pack(&mut self, index: usize, delivery: &Delivery, message: &[u8]) {
        let Some(entry) = self.hops.get_mut(index) else { return };
        let mut packer = match entry.packer.take() {
            Some(packer) => packer,
            None => {
                self.packing.push(index);
                self.packers.pop().unwrap_or_else(|| Box::new(Packer::new()))
            }
        };
        let mut cells = std::mem::take(&mut self.packed);
        let result = packer.push(delivery, message, &mut self.rng, &mut cells);
        if let Some(entry) = self.hops.get_mut(index) {
            entry.packer = Some(packer);
        }
        match result {
            Ok(()) => {}
            Err(PackError::TooLong) => self.stats.dropped(DropCause::TooLarge),
            Err(PackError::Empty | PackError::Full) => self.stats.dropped(DropCause::BadMessage),
        }
        self.send_packed(index, &mut cells);
        self.packed = cells;
    }

    /// Sends the last, partly filled cell of every gateway that had messages.
    pub(super) fn flush_packers(&mut self) {
        let mut cells = std::mem::take(&mut self.packed);
        while let Some(index) = self.packing.pop() {
            let Some(mut packer) = self.hops.get_mut(index).and_then(|entry| entry.packer.take()) else { continue };
            // A vector always has room.
            let _ = packer.flush(&mut self.rng, &mut cells);
            self.packers.push(packer);
            self.send_packed(index, &mut cells);
        }
        self.packed = cells;
    }

    /// Cells of a gateway that are ready but for the cipher.
    fn send_packed(&mut self, index: usize, cells: &mut Vec<[u8; CELL]>) {
        let Some(entry) = self.hops.get(index) else { return cells.clear() };
        entry.hop.cells.add(cells.len() as u64);
        for cell in cells.drain(..) {
            if let Err(cause) = self.shape(index, &cell) {
                self.stats.dropped(cause);
            }
        }
    }

    /// A cell without its last layer: its messages are complete here, or wait for their rest.
    pub(super) fn on_endpoint_cell(&mut self, index: usize, cell: &[u8; CELL]) {
        let Some(entry) = self.hops.get_mut(index) else { return };
        // It leaves the table while messages are delivered, so that the rest of the thread can be reached.
        let kept = entry.reassembly.take().or_else(|| self.reassemblers.pop());
        let mut reassembly = kept.unwrap_or_else(|| Box::new(Reassembler::new(Limits::default())));
        let tunnel = entry.hop.id;
        let now = self.now.mono;
        let result = reassembly.cell(now, cell, |delivery, message| match delivery {
            Delivery::Router(_) | Delivery::Tunnel(..) => self.deliver(tunnel, &delivery, &message),
            // spec: tunnel-message §Delivery Instructions — LOCAL is for inbound tunnels.
            Delivery::Local => self.stats.dropped(DropCause::BadFragment),
        });
        if result.is_err() {
            self.stats.dropped(DropCause::BadFragment);
        }
        if reassembly.held() == 0 {
            // An endpoint between messages holds no memory for them; the next one that needs it takes it.
            self.reassemblers.push(reassembly);
        } else if let Some(entry) = self.hops.get_mut(index) {
            entry.reassembly = Some(reassembly);
        }
    }

    /// A message that left somebody's outbound tunnel here.
    fn deliver(&mut self, from: ramson_protocol::id::TunnelId, delivery: &Delivery, message: &[u8]) {
        let now = self.now.wall;
        match *delivery {
            Delivery::Router(to) if to == self.config.router => self.emit_tunnel_message(from, false, message),
            Delivery::Router(to) => {
                let mut r = Reader::new(message);
                let (Ok(kind), Ok(id), Ok(expiration)) = (r.u8(), r.u32(), r.u64()) else {
                    return self.stats.dropped(DropCause::BadMessage);
                };
                let Some(body) = message.get(STANDARD_LEN..).filter(|_| kind != CELL_MESSAGE) else {
                    return self.stats.dropped(DropCause::BadMessage);
                };
                if expiration < now.0 {
                    return self.stats.dropped(DropCause::Expired);
                }
                let seconds = u32::try_from(expiration.saturating_add(500) / 1000).unwrap_or(u32::MAX);
                self.send(to, kind, id, seconds, &[body]);
            }
            Delivery::Tunnel(to, tunnel) => {
                let Ok(len) = u16::try_from(message.len()) else { return self.stats.dropped(DropCause::TooLarge) };
                let mut head = [0; 6];
                head[..4].copy_from_slice(&tunnel.0.to_be_bytes());
                head[4..].copy_from_slice(&len.to_be_bytes());
                if to == self.config.router {
                    return self.on_tunnel_gateway(&[&head[..], message].concat());
                }
                let expiration = now.secs() + super::relay::CELL_LIFETIME_SECS;
                let id = self.rng.next_u32();
                self.send(to, GATEWAY_MESSAGE, id, expiration, &[&head, message]);
            }
            Delivery::Local => self.stats.dropped(DropCause::BadFragment),
        }
    }

    fn emit_tunnel_message(&mut self, tunnel: ramson_protocol::id::TunnelId, own: bool, message: &[u8]) {
        match Message::from_std(&Bytes::copy_from_slice(message)) {
            Ok(message) => self.up.pass(Received::TunnelMessage { tunnel, own, message }),
            Err(_) => self.stats.dropped(DropCause::BadMessage),
        }
    }
}

impl HopEntry {
    /// An entry that has carried nothing.
    pub(super) fn new(hop: std::sync::Arc<crate::hop::Hop>, egress: Egress, flow: usize) -> Self {
        Self { hop, egress, flow, reassembly: None, packer: None }
    }
}
