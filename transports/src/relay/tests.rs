//! The relay as a machine: sessions, the line and other threads are played by the test, the clock is turned by hand.

use super::*;
use crate::hop::{Hop, NextHop};
use crate::ports::own::OwnCells;
use proptest::prelude::*;
use ramson_crypto::tunnel::decrypt_batch;
use ramson_protocol::i2np::Message;
use ramson_protocol::id::MessageId;
use ramson_protocol::time::Wall;
use ramson_protocol::tunnel::Delivery;
use ramson_protocol::tunnel::reassembly::Limits;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Duration;

const US: RouterHash = RouterHash([1; 32]);
const PREVIOUS: RouterHash = RouterHash([2; 32]);
const NEXT: RouterHash = RouterHash([3; 32]);
const OTHER: RouterHash = RouterHash([4; 32]);

/// What the relay sent.
#[derive(Debug, PartialEq, Eq)]
enum Sent {
    Cell { egress: Egress, expiration: u32, tunnel: u32, cell: Vec<u8> },
    Message { to: RouterHash, kind: u8, id: u32, expiration: u32, body: Vec<u8> },
    Own { tunnel: u32, cell: Vec<u8> },
    Up { tunnel: u32, own: bool, message: Vec<u8> },
}

/// The rest of the thread.
#[derive(Default)]
struct Rest {
    sent: Vec<Sent>,
    /// The peer takes nothing now; its cells wait here.
    peer_full: bool,
    at_peer: VecDeque<(usize, [u8; CELL])>,
    /// The same of the line.
    line_full: bool,
    at_line: VecDeque<(usize, [u8; CELL])>,
    released: Option<(usize, [u8; CELL])>,
    /// Everything is refused for this.
    refuse: Option<DropCause>,
    own_full: bool,
}

impl Onward for Rest {
    fn must_wait(&self, egress: Egress) -> bool {
        egress != Egress::None && (self.peer_full || !self.at_peer.is_empty())
    }

    fn wait(&mut self, _: Egress, index: usize, cell: &[u8; CELL]) -> Result<(), DropCause> {
        self.refuse.map_or(Ok(()), Err)?;
        self.at_peer.push_back((index, *cell));
        Ok(())
    }

    fn has_room(&mut self, _: Egress, _: usize, _: usize) -> bool {
        self.refuse != Some(DropCause::EgressFull)
    }

    fn judge(&mut self, entry: &HopEntry, cell: &[u8; CELL]) -> Verdict {
        match self.refuse {
            Some(cause) => Verdict::Drop(cause),
            None if self.line_full || !self.at_line.is_empty() => {
                self.at_line.push_back((entry.flow, *cell));
                Verdict::Waits
            }
            None => Verdict::Now,
        }
    }

    fn judge_message(&mut self, _: &HopEntry, _: usize) -> Result<(), DropCause> {
        self.refuse.map_or(Ok(()), Err)
    }

    fn released(&mut self) -> Option<(usize, &[u8; CELL])> {
        if self.line_full {
            return None;
        }
        self.released = self.at_line.pop_front();
        self.released.as_ref().map(|(index, cell)| (*index, cell))
    }

    fn send_cell(&mut self, egress: Egress, _: u32, expiration: u32, parts: &[&[u8]]) {
        let bytes = parts.concat();
        let (tunnel, cell) = bytes.split_first_chunk::<4>().unwrap();
        self.sent.push(Sent::Cell { egress, expiration, tunnel: u32::from_be_bytes(*tunnel), cell: cell.to_vec() });
    }

    fn send(&mut self, _: TunnelId, to: RouterHash, kind: u8, id: u32, expiration: u32, parts: &[&[u8]]) {
        // Of a TunnelGateway message the id is the relay's own choice.
        let id = if kind == GATEWAY_MESSAGE { 0 } else { id };
        self.sent.push(Sent::Message { to, kind, id, expiration, body: parts.concat() });
    }

    fn own_cell(&mut self, _: &Arc<dyn OwnPort>, tunnel: TunnelId, cell: &[u8; CELL]) -> u64 {
        if self.own_full {
            return 1;
        }
        self.sent.push(Sent::Own { tunnel: tunnel.0, cell: cell.to_vec() });
        0
    }

    fn up(&mut self, received: Received) {
        let Received::TunnelMessage { tunnel, own, message } = received else { panic!("{received:?}") };
        self.sent.push(Sent::Up { tunnel: tunnel.0, own, message: message.to_std().unwrap() });
    }
}

/// Whoever owns tunnels here hears of them by [`Rest::own_cell`].
struct Owner;

impl OwnPort for Owner {
    fn index(&self) -> usize {
        0
    }

    fn spare(&self) -> OwnCells {
        OwnCells::default()
    }

    fn cells(&self, cells: OwnCells) -> Result<(), OwnCells> {
        Err(cells)
    }

    fn credit(&self, _: TunnelId) -> bool {
        false
    }
}

fn cipher(tunnel: u32) -> LayerCipher {
    LayerCipher::new(&[tunnel as u8; 32], &[12; 32])
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Participant,
    Gateway,
    Endpoint,
    Own,
    WithoutHops,
}

/// A relay and the rest.
struct Rig {
    relay: Relay,
    rest: Rest,
    stats: Arc<IoStats>,
    hops: BTreeMap<u32, Arc<Hop>>,
    now: Now,
    refused: Vec<DropCause>,
}

impl Rig {
    fn new() -> Self {
        let (stats, now) = (Arc::<IoStats>::default(), Now::default().plus(Duration::from_secs(1_800_000_000)));
        let relay = Relay::new(1, US, iv_filter::Config::default(), [7; 32], Arc::clone(&stats), now);
        Self { relay, rest: Rest::default(), stats, hops: BTreeMap::new(), now, refused: Vec::new() }
    }

    fn with(kind: Kind) -> Self {
        let mut rig = Self::new();
        rig.install(5, kind);
        rig
    }

    /// A hop whose next tunnel has the number of this one and 1000.
    fn install(&mut self, tunnel: u32, kind: Kind) {
        let (cipher, next) = (cipher(tunnel), NextHop { router: NEXT, tunnel: TunnelId(1000 + tunnel) });
        let (kind, previous) = match kind {
            Kind::Participant => (HopKind::Participant { cipher, next }, Some(PREVIOUS)),
            Kind::Gateway => (HopKind::InboundGateway { cipher, next }, None),
            Kind::Endpoint => (HopKind::OutboundEndpoint { cipher }, Some(PREVIOUS)),
            Kind::Own => (HopKind::InboundEndpoint { to: Arc::new(Owner) }, Some(PREVIOUS)),
            Kind::WithoutHops => (HopKind::InboundWithoutHops, None),
        };
        let hop = Arc::new(Hop::new(TunnelId(tunnel), kind, previous));
        let egress = if hop.next().is_some() { Egress::Local(tunnel as usize) } else { Egress::None };
        // The queue at the line is the hop's index here.
        let flow = self.relay.next_index();
        self.hops.insert(tunnel, Arc::clone(&hop));
        assert_eq!(self.relay.insert(hop, egress, flow), None);
    }

    fn remove(&mut self, tunnel: u32) {
        let Some(hop) = self.hops.remove(&tunnel) else { return };
        let index = self.relay.index_of(&hop).unwrap();
        self.relay.flush(&mut self.rest);
        assert!(self.relay.take_out(index).is_some_and(|entry| Arc::ptr_eq(&entry.hop, &hop)));
        self.rest.at_line.retain(|(at, _)| *at != index);
        self.rest.at_peer.retain(|(at, _)| *at != index);
    }

    fn give(&mut self, from: RouterHash, tunnel: u32, cell: &[u8; CELL]) {
        if let Err(cause) = self.relay.admit(&mut self.rest, from, TunnelId(tunnel), cell) {
            self.refused.push(cause);
        }
    }

    fn give_gateway(&mut self, tunnel: u32, message: &[u8]) {
        let len = u16::try_from(message.len()).unwrap();
        let body = [&tunnel.to_be_bytes()[..], &len.to_be_bytes(), message].concat();
        self.relay.on_tunnel_gateway(&mut self.rest, &body);
    }

    /// A message comes to the endpoint as the creator of the tunnel sends it.
    fn give_endpoint(&mut self, tunnel: u32, delivery: Delivery, message: &[u8], seed: u64) {
        for cell in creators(tunnel, delivery, message, seed) {
            self.give(PREVIOUS, tunnel, &cell);
        }
    }

    fn flush(&mut self) -> Vec<Sent> {
        // As the thread does: who has waited goes first.
        if !self.rest.peer_full {
            for (index, cell) in std::mem::take(&mut self.rest.at_peer) {
                if let Err(cause) = self.relay.let_pass(&mut self.rest, index, &cell) {
                    self.refused.push(cause);
                }
            }
        }
        self.relay.release(&mut self.rest);
        self.relay.flush(&mut self.rest);
        std::mem::take(&mut self.rest.sent)
    }

    /// All that was dropped, by cause.
    fn drops(&self) -> Vec<(DropCause, u64)> {
        let count = |cause: DropCause| {
            let refused = self.refused.iter().filter(|refused| **refused == cause).count() as u64;
            refused + self.stats.drops[cause as usize].get()
        };
        DropCause::ALL.iter().map(|cause| (*cause, count(*cause))).filter(|(_, count)| *count > 0).collect()
    }

    fn message(&self, len: usize) -> Vec<u8> {
        self.message_of(MessageType::Data, len)
    }

    fn message_of(&self, kind: MessageType, len: usize) -> Vec<u8> {
        let body = (0..len).map(|i| i as u8).collect::<Vec<_>>().into();
        let expiration = Wall::from_secs(self.now.wall.secs() + 30);
        Message { kind, id: MessageId(77), expiration, body }.to_std().unwrap()
    }
}

/// The cells by which a creator sends a message to its endpoint.
fn creators(tunnel: u32, delivery: Delivery, message: &[u8], seed: u64) -> Vec<[u8; CELL]> {
    let (mut packer, mut rng, mut cells) = (Packer::new(), ChaCha20Rng::seed_from_u64(seed), Vec::new());
    packer.push(&delivery, message, &mut rng, &mut cells).unwrap();
    packer.flush(&mut rng, &mut cells).unwrap();
    cells.iter_mut().for_each(|cell| decrypt_batch(&mut [(&cipher(tunnel), cell)]));
    cells
}

/// The cell of this number, unlike any other: IV and first block together tell them apart.
fn cell(n: u32) -> [u8; CELL] {
    let mut cell = [0x55; CELL];
    cell[..4].copy_from_slice(&n.to_be_bytes());
    cell
}

fn decrypted(tunnel: u32, cell: &[u8]) -> [u8; CELL] {
    let mut cell: [u8; CELL] = cell.try_into().unwrap();
    decrypt_batch(&mut [(&cipher(tunnel), &mut cell)]);
    cell
}

/// What the creator of an inbound tunnel reads in its cells.
fn read(cells: &[[u8; CELL]]) -> Vec<(Delivery, Vec<u8>)> {
    let (mut reassembler, mut read) = (Reassembler::new(Limits::default()), Vec::new());
    for cell in cells {
        let out = |delivery, message: Cow<'_, [u8]>| read.push((delivery, message.into_owned()));
        reassembler.cell(Default::default(), cell, out).unwrap();
    }
    read
}

#[test]
fn a_participant_encrypts_with_its_layer_and_passes_on_under_the_next_tunnels_number() {
    let mut rig = Rig::with(Kind::Participant);
    // More than a batch, so that it runs full and once more at the end of the turn.
    let cells: Vec<[u8; CELL]> = (0..LANES as u32 + 3).map(cell).collect();
    cells.iter().for_each(|cell| rig.give(PREVIOUS, 5, cell));
    assert_eq!(rig.rest.sent.len(), LANES, "a full batch does not wait");
    let expiration = rig.now.wall.secs() + CELL_LIFETIME_SECS;
    for (sent, cell) in rig.flush().iter().zip(&cells) {
        let Sent::Cell { egress, expiration: until, tunnel, cell: sent } = sent else { panic!("{sent:?}") };
        assert_eq!((*egress, *until, *tunnel), (Egress::Local(5), expiration, 1005));
        assert!(decrypted(5, sent) == *cell && sent != cell);
    }
    assert_eq!(rig.drops(), []);
    assert_eq!(rig.stats.cells[Role::Participant as usize].get(), cells.len() as u64);
    assert_eq!(rig.hops[&5].cells.get(), cells.len() as u64);
}

#[test]
fn an_inbound_gateway_cuts_messages_into_cells_that_the_creator_can_read() {
    let mut rig = Rig::with(Kind::Gateway);
    let messages = [3000, 20, 30].map(|len| rig.message(len));
    messages.iter().for_each(|message| rig.give_gateway(5, message));
    let cells = rig.flush().into_iter().map(|sent| match sent {
        Sent::Cell { tunnel: 1005, cell, .. } => decrypted(5, &cell),
        other => panic!("{other:?}"),
    });
    let cells: Vec<_> = cells.collect();
    assert_eq!(cells.len(), 4, "small ones share the last cell");
    assert_eq!(read(&cells), messages.map(|message| (Delivery::Local, message)));
    assert_eq!(rig.drops(), []);
}

#[test]
fn an_outbound_endpoint_passes_on_what_a_clock_behind_ours_has_dated_and_nothing_older() {
    let mut rig = Rig::with(Kind::Endpoint);
    let dated = |rig: &Rig, behind: u64| {
        let (now, kind) = (rig.now.wall, MessageType::DatabaseStore);
        let expiration = now.minus(Duration::from_secs(behind));
        Message { kind, id: MessageId(77), expiration, body: bytes::Bytes::from_static(&[1; 40]) }.to_std().unwrap()
    };
    for (behind, passes) in [(15, true), (59, true), (62, false)] {
        let message = dated(&rig, behind);
        rig.give_endpoint(5, Delivery::Router(OTHER), &message, 1);
        assert_eq!(rig.flush().len(), usize::from(passes), "{behind} s");
    }
    assert_eq!(rig.drops(), [(DropCause::Expired, 1)]);
}

#[test]
fn an_outbound_endpoint_delivers_to_routers_to_tunnels_and_to_ourselves() {
    let mut rig = Rig::with(Kind::Endpoint);
    rig.install(6, Kind::WithoutHops);
    rig.install(7, Kind::Gateway);
    // In several cells, so that they must be put together.
    let message = rig.message(2500);
    let (header, body) = Message::split_std(&message).unwrap();
    let (until, soon) = (header.expiration.secs(), rig.now.wall.secs() + CELL_LIFETIME_SECS);

    rig.give_endpoint(5, Delivery::Router(OTHER), &message, 1);
    let kind = header.kind.code();
    assert_eq!(rig.flush(), [Sent::Message { to: OTHER, kind, id: 77, expiration: until, body: body.to_vec() }]);

    rig.give_endpoint(5, Delivery::Tunnel(OTHER, TunnelId(8)), &message, 2);
    let body = [&8_u32.to_be_bytes()[..], &(message.len() as u16).to_be_bytes(), &message].concat();
    assert_eq!(rig.flush(), [Sent::Message { to: OTHER, kind: GATEWAY_MESSAGE, id: 0, expiration: soon, body }]);

    rig.give_endpoint(5, Delivery::Router(US), &message, 3);
    assert_eq!(rig.flush(), [Sent::Up { tunnel: 5, own: false, message: message.clone() }]);
    rig.give_endpoint(5, Delivery::Tunnel(US, TunnelId(6)), &message, 4);
    assert_eq!(rig.flush(), [Sent::Up { tunnel: 6, own: true, message: message.clone() }]);
    rig.give_endpoint(5, Delivery::Tunnel(US, TunnelId(7)), &message, 5);
    assert_eq!(rig.flush().len(), 3, "a gateway here cuts it again in the same turn");
    assert_eq!(rig.drops(), []);

    rig.give_endpoint(5, Delivery::Local, &message, 6);
    assert_eq!((rig.flush(), rig.drops()), (vec![], vec![(DropCause::BadFragment, 1)]));
}

#[test]
fn our_own_inbound_tunnels_give_cells_to_their_owner_and_messages_up() {
    let mut rig = Rig::with(Kind::Own);
    rig.install(6, Kind::WithoutHops);
    rig.give(PREVIOUS, 5, &cell(1));
    rig.give(PREVIOUS, 5, &cell(1));
    let message = rig.message(100);
    rig.give_gateway(6, &message);
    let (own, up) = (Sent::Own { tunnel: 5, cell: cell(1).to_vec() }, Sent::Up { tunnel: 6, own: true, message });
    assert_eq!(rig.flush(), [up, own]);
    assert_eq!(rig.drops(), [(DropCause::ReplayedIv, 1)]);
    rig.rest.own_full = true;
    rig.give(PREVIOUS, 5, &cell(2));
    assert_eq!((rig.flush(), rig.drops()), (vec![], vec![(DropCause::ReplayedIv, 1), (DropCause::ClientFull, 1)]));
}

/// A cause, the kind of hop 5, and what brings it about.
type Case = (DropCause, Kind, fn(&mut Rig));

const CASES: &[Case] = &[
    (DropCause::UnknownTunnel, Kind::Participant, |rig| rig.give(PREVIOUS, 99, &cell(1))),
    (DropCause::UnknownTunnel, Kind::Participant, |rig| rig.give_gateway(99, &[7; 50])),
    (DropCause::WrongPrevious, Kind::Participant, |rig| rig.give(OTHER, 5, &cell(1))),
    (DropCause::WrongPrevious, Kind::Own, |rig| rig.give(OTHER, 5, &cell(1))),
    (DropCause::WrongKind, Kind::Gateway, |rig| rig.give(PREVIOUS, 5, &cell(1))),
    (DropCause::WrongKind, Kind::WithoutHops, |rig| rig.give(PREVIOUS, 5, &cell(1))),
    (DropCause::WrongKind, Kind::Participant, |rig| rig.give_gateway(5, &[7; 50])),
    (DropCause::WrongKind, Kind::Own, |rig| rig.give_gateway(5, &[7; 50])),
    (DropCause::ReplayedIv, Kind::Endpoint, |rig| {
        let message = rig.message(10);
        rig.give_endpoint(5, Delivery::Router(OTHER), &message, 1);
        rig.give_endpoint(5, Delivery::Router(OTHER), &message, 1);
    }),
    (DropCause::Expired, Kind::Endpoint, |rig| {
        let message = rig.message(10);
        rig.now = rig.now.plus(Duration::from_secs(30 + 61));
        rig.relay.begin(rig.now);
        rig.give_endpoint(5, Delivery::Router(OTHER), &message, 1);
    }),
    (DropCause::BadFragment, Kind::Endpoint, |rig| rig.give(PREVIOUS, 5, &cell(1))),
    (DropCause::BadMessage, Kind::Participant, |rig| rig.relay.on_tunnel_gateway(&mut rig.rest, &[1; 5])),
    (DropCause::BadMessage, Kind::WithoutHops, |rig| rig.give_gateway(5, &[7; 50])),
    (DropCause::BadMessage, Kind::Endpoint, |rig| rig.give_endpoint(5, Delivery::Router(OTHER), &[1; 5], 1)),
    (DropCause::BadMessage, Kind::Endpoint, |rig| rig.give_endpoint(5, Delivery::Router(US), &[1; 5], 1)),
    (DropCause::BadMessage, Kind::Endpoint, |rig| {
        // Nobody's cells are sent on out of a tunnel.
        let message = rig.message_of(MessageType::TunnelData, 1028);
        rig.give_endpoint(5, Delivery::Router(OTHER), &message, 1);
    }),
    (DropCause::TooLarge, Kind::Gateway, |rig| rig.give_gateway(5, &[7; 65_000])),
    (DropCause::Contract, Kind::Gateway, |rig| {
        rig.rest.refuse = Some(DropCause::Contract);
        rig.give_gateway(5, &[7; 50]);
    }),
    (DropCause::EgressFull, Kind::Gateway, |rig| {
        rig.rest.refuse = Some(DropCause::EgressFull);
        rig.give_gateway(5, &[7; 50]);
    }),
    (DropCause::EgressFull, Kind::Participant, |rig| {
        (rig.rest.refuse, rig.rest.peer_full) = (Some(DropCause::EgressFull), true);
        rig.give(PREVIOUS, 5, &cell(1));
    }),
    (DropCause::FairShare, Kind::Participant, |rig| {
        rig.rest.refuse = Some(DropCause::FairShare);
        rig.give(PREVIOUS, 5, &cell(1));
    }),
];

#[test]
fn every_cause_is_counted_once_and_no_other_with_it() {
    for (number, (cause, kind, bring_about)) in CASES.iter().enumerate() {
        let mut rig = Rig::with(*kind);
        bring_about(&mut rig);
        rig.flush();
        assert_eq!(rig.drops(), [(*cause, 1)], "case {number}, {cause:?}");
    }
}

#[test]
fn what_an_endpoint_has_counted_is_kept_when_its_tunnel_ends() {
    let mut rig = Rig::with(Kind::Endpoint);
    rig.install(6, Kind::Endpoint);
    let first = creators(5, Delivery::Router(OTHER), &rig.message(3000), 1)[0];
    rig.give(PREVIOUS, 5, &first);
    rig.give(PREVIOUS, 5, &cell(1));
    rig.give(PREVIOUS, 6, &cell(2));
    rig.flush();
    let malformed = |rig: &mut Rig| {
        rig.relay.tick(1000);
        rig.stats.reassembly[REASSEMBLY.iter().position(|event| *event == "malformed").unwrap()].get()
    };
    assert_eq!(malformed(&mut rig), 2);
    rig.remove(5);
    assert_eq!(malformed(&mut rig), 2);
    assert_eq!(rig.relay.max_repeats(), 1000);
}

/// What kind of hop has this number in the comparison with the model.
fn kind_of(tunnel: u32) -> Kind {
    [Kind::Participant, Kind::Gateway, Kind::Endpoint, Kind::Own, Kind::WithoutHops, Kind::Participant]
        [tunnel as usize - 1]
}

/// What is done with the relay.
#[derive(Clone, Debug)]
enum Step {
    Install(u32),
    Remove(u32),
    /// The cell of this number for a tunnel, from the right router or from another.
    Cell(u32, u32, bool),
    /// A message of this length for a gateway.
    Gateway(u32, usize),
    /// A message of this length for an endpoint; what makes its cells those of another.
    Endpoint(u32, usize, u64),
    PeerFull(bool),
    LineFull(bool),
    Flush,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let tunnel = || 1_u32..7;
    // Few numbers and lengths, so that many cells are repeated.
    let (number, len) = (0_u32..200, || prop::sample::select(vec![1_usize, 90, 900, 1100, 4000]));
    let step = prop_oneof![
        3 => tunnel().prop_map(Step::Install),
        1 => tunnel().prop_map(Step::Remove),
        12 => (tunnel(), number, prop::bool::weighted(0.9)).prop_map(|(at, n, right)| Step::Cell(at, n, right)),
        4 => (tunnel(), len()).prop_map(|(at, len)| Step::Gateway(at, len)),
        4 => (tunnel(), len(), 0_u64..20).prop_map(|(at, len, seed)| Step::Endpoint(at, len, seed)),
        1 => any::<bool>().prop_map(Step::PeerFull),
        1 => any::<bool>().prop_map(Step::LineFull),
        3 => Just(Step::Flush),
    ];
    prop::collection::vec(step, 1..150)
}

/// What comes out of a tunnel, in its order: cells as their sender made them, and messages.
type Outcome = BTreeMap<u32, Vec<Vec<u8>>>;

/// Everything one after the other: no batches, no queues, no shared cells.
#[derive(Default)]
struct Model {
    open: HashSet<u32>,
    seen: HashSet<[u8; 16]>,
    out: Outcome,
    drops: BTreeMap<&'static str, u64>,
}

impl Model {
    fn drop(&mut self, cause: DropCause) {
        *self.drops.entry(cause.label()).or_default() += 1;
    }

    fn comes_out(&mut self, tunnel: u32, what: &[u8]) {
        self.out.entry(tunnel).or_default().push(what.to_vec());
    }

    /// True if the cell goes through the tunnel.
    fn passes(&mut self, tunnel: u32, right: bool, cell: &[u8; CELL]) -> bool {
        let cause = match kind_of(tunnel) {
            _ if !self.open.contains(&tunnel) => DropCause::UnknownTunnel,
            Kind::Gateway | Kind::WithoutHops => DropCause::WrongKind,
            _ if !right => DropCause::WrongPrevious,
            _ if self.seen.insert(std::array::from_fn(|i| cell[i] ^ cell[16 + i])) => return true,
            _ => DropCause::ReplayedIv,
        };
        self.drop(cause);
        false
    }

    fn on_cell(&mut self, tunnel: u32, right: bool, cell: &[u8; CELL]) {
        if !self.passes(tunnel, right, cell) {
            return;
        }
        match kind_of(tunnel) {
            Kind::Endpoint => self.drop(DropCause::BadFragment),
            _ => self.comes_out(tunnel, cell),
        }
    }

    fn on_gateway(&mut self, tunnel: u32, message: &[u8]) {
        match kind_of(tunnel) {
            _ if !self.open.contains(&tunnel) => self.drop(DropCause::UnknownTunnel),
            Kind::Gateway | Kind::WithoutHops => self.comes_out(tunnel, message),
            _ => self.drop(DropCause::WrongKind),
        }
    }

    fn on_endpoint(&mut self, tunnel: u32, cells: &[[u8; CELL]], body: &[u8]) {
        if kind_of(tunnel) != Kind::Endpoint {
            return cells.iter().for_each(|cell| self.on_cell(tunnel, true, cell));
        }
        // They have been here all together or not at all.
        let passed = cells.iter().filter(|cell| self.passes(tunnel, true, cell)).count();
        assert!(passed == 0 || passed == cells.len());
        if passed > 0 {
            self.comes_out(tunnel, body);
        }
    }
}

/// What was sent, as the next hops and the creators of the tunnels read it.
fn outcome(sent: Vec<Sent>) -> Outcome {
    let (mut out, mut gateways) = (Outcome::new(), BTreeMap::<u32, Vec<[u8; CELL]>>::new());
    for sent in sent {
        let (tunnel, what) = match sent {
            Sent::Cell { tunnel, cell, .. } => {
                let (tunnel, cell) = (tunnel - 1000, decrypted(tunnel - 1000, &cell));
                if kind_of(tunnel) == Kind::Gateway {
                    gateways.entry(tunnel).or_default().push(cell);
                    continue;
                }
                (tunnel, cell.to_vec())
            }
            Sent::Own { tunnel, cell } => (tunnel, cell),
            Sent::Up { tunnel, message, .. } => (tunnel, message),
            Sent::Message { to, body, .. } => (u32::from(to.0[0]), body),
        };
        out.entry(tunnel).or_default().push(what);
    }
    for (tunnel, cells) in gateways {
        out.insert(tunnel, read(&cells).into_iter().map(|(_, message)| message).collect());
    }
    out
}

proptest! {
    #[test]
    fn whatever_comes_in_whatever_order_the_same_comes_out_as_of_one_cell_after_the_other(steps in steps()) {
        let (mut rig, mut model, mut sent) = (Rig::new(), Model::default(), Vec::new());
        for step in steps {
            match step {
                Step::Install(tunnel) => if model.open.insert(tunnel) {
                    rig.install(tunnel, kind_of(tunnel));
                },
                // What waits for a tunnel that ends is lost; here nothing waits.
                Step::Remove(tunnel) => if !rig.rest.peer_full && !rig.rest.line_full && model.open.remove(&tunnel) {
                    sent.extend(rig.flush());
                    rig.remove(tunnel);
                },
                Step::Cell(tunnel, n, right) => {
                    let cell = cell(n * 8 + tunnel);
                    rig.give(if right { PREVIOUS } else { OTHER }, tunnel, &cell);
                    model.on_cell(tunnel, right, &cell);
                }
                Step::Gateway(tunnel, len) => {
                    let message = rig.message(len);
                    rig.give_gateway(tunnel, &message);
                    model.on_gateway(tunnel, &message);
                }
                Step::Endpoint(tunnel, len, seed) => {
                    let (message, to) = (rig.message(len), Delivery::Router(RouterHash([tunnel as u8; 32])));
                    let cells = creators(tunnel, to, &message, 10_000 * seed + len as u64);
                    cells.iter().for_each(|cell| rig.give(PREVIOUS, tunnel, cell));
                    model.on_endpoint(tunnel, &cells, Message::split_std(&message).unwrap().1);
                }
                Step::PeerFull(full) => rig.rest.peer_full = full,
                Step::LineFull(full) => rig.rest.line_full = full,
                Step::Flush => sent.extend(rig.flush()),
            }
        }
        (rig.rest.peer_full, rig.rest.line_full) = (false, false);
        // What waited for the peer may wait for the line next.
        (0..2).for_each(|_| sent.extend(rig.flush()));
        let drops: BTreeMap<_, _> = rig.drops().into_iter().map(|(cause, count)| (cause.label(), count)).collect();
        prop_assert_eq!(drops, model.drops);
        prop_assert!(outcome(sent) == model.out);
    }
}

/// Ten thousand tunnels might hold a quarter of a megabyte each.
#[test]
fn when_all_memory_for_incomplete_messages_is_taken_the_tunnels_with_the_most_give_way() {
    let mut rig = Rig::new();
    rig.relay.max_reassembling = 1 << 20;
    let begun = |tunnel, len, seed| {
        let message = rig_message(len);
        let mut cells = creators(tunnel, Delivery::Router(NEXT), &message, seed);
        (cells.pop().unwrap(), cells, message)
    };
    rig.install(5, Kind::Endpoint);
    let (last, cells, small) = begun(5, 2500, 1);
    cells.iter().for_each(|cell| rig.give(PREVIOUS, 5, cell));
    for tunnel in 10..40 {
        rig.install(tunnel, Kind::Endpoint);
        let (_, cells, _) = begun(tunnel, 50_000, u64::from(tunnel));
        cells.iter().for_each(|cell| rig.give(PREVIOUS, tunnel, cell));
        rig.flush();
        let held: usize =
            rig.relay.hops.iter().filter_map(|(_, entry)| entry.reassembly.as_ref()).map(|r| r.held()).sum();
        assert_eq!(held, rig.relay.reassembling);
        assert!(held <= 1 << 20, "{held} bytes");
    }
    let [(DropCause::MemoryFull, 1..)] = rig.drops()[..] else { panic!("{:?}", rig.drops()) };
    rig.give(PREVIOUS, 5, &last);
    let [Sent::Message { body, .. }] = &rig.flush()[..] else { panic!("the small one is gone") };
    assert!(small.ends_with(body));
    for tunnel in (10..40).chain([5]) {
        rig.remove(tunnel);
    }
    assert_eq!(rig.relay.reassembling, 0);
}

fn rig_message(len: usize) -> Vec<u8> {
    Rig::new().message(len)
}
