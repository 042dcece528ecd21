//! Whose a packet is, and whether it is from whom it says.

use super::{EARLY, EARLY_LIFE, Out, Ports, Refused, Streams, encode};
use crate::id::DestinationHash;
use crate::streaming::packet::{Packet, flag};
use crate::streaming::stream::{End, Stream};
use crate::time::{Mono, Now};
use bytes::Bytes;
use std::collections::VecDeque;

/// Pings that are answered: at once, and a second. Each costs a signature.
const PINGS: (f32, f32) = (16.0, 8.0);

/// Streams that there are not are refused as often: at once, and a second.
const RESETS: (f32, f32) = (64.0, 32.0);

/// What of a ping's payload comes back. INTEROP: 32 bytes in Java.
const MAX_ECHO: usize = 32;

impl Streams {
    /// Takes a packet. `from` is whose session it came out of, as far as that is proven.
    ///
    /// # Errors
    /// See [`Refused`]; it is counted.
    pub fn handle_packet(
        &mut self,
        now: Now,
        from: Option<DestinationHash>,
        ports: Ports,
        bytes: &Bytes,
    ) -> Result<(), Refused> {
        self.stats.received += 1;
        let taken = self.take(now, from, ports, bytes);
        if let Err(refused) = taken {
            self.stats.refused[Refused::ALL.iter().position(|other| *other == refused).unwrap_or(0)] += 1;
        }
        taken
    }

    fn take(&mut self, now: Now, from: Option<DestinationHash>, ports: Ports, bytes: &Bytes) -> Result<(), Refused> {
        let id = bytes.first_chunk().map_or(0, |id| u32::from_be_bytes(*id));
        let known = self.entries.get(&id);
        let signer = known.and_then(|entry| entry.from.as_ref()).map(|from| from.signing_type());
        let packet = Packet::parse(bytes, signer).map_err(|_| Refused::Malformed)?;
        if packet.has(flag::ECHO) {
            return self.pong(now, from, ports, &packet, bytes);
        }
        if known.is_some() {
            return self.known(now, from, ports, id, &packet, bytes);
        }
        if id != 0 {
            self.refuse(now, from, ports, &packet);
            return Err(Refused::Unknown);
        }
        let sender = from.or_else(|| packet.from.as_ref().map(|from| from.hash())).ok_or(Refused::WrongSender)?;
        // A first packet that comes again, and what follows it before our answer.
        if let Some(id) = self.theirs.get(&(sender, packet.receive_stream)).copied() {
            return self.known(now, from, ports, id, &packet, bytes);
        }
        if packet.has(flag::SYNCHRONIZE) {
            self.first(now, from, ports, &packet, bytes)
        } else {
            self.keep_early(now, sender, packet)
        }
    }

    /// Answers a ping, as programs behind Java's servers expect: whoever can be called can be pinged, and nobody else.
    fn pong(
        &mut self,
        now: Now,
        from: Option<DestinationHash>,
        ports: Ports,
        ping: &Packet,
        bytes: &Bytes,
    ) -> Result<(), Refused> {
        if ping.send_stream == 0 {
            return self.take_pong(from, ping.receive_stream);
        }
        if !self.listening {
            return Err(Refused::NotListening);
        }
        let signer = ping.from.as_ref().ok_or(Refused::BadSignature)?;
        let remote = signer.hash();
        if from.is_some_and(|from| from != remote) {
            return Err(Refused::WrongSender);
        }
        if !self.pings.take(PINGS, now.mono) {
            return Err(Refused::TooMany);
        }
        ping.verify(bytes, signer, now.wall).map_err(|_| Refused::BadSignature)?;
        let mut pong = Packet::new(0, ping.send_stream, 0);
        pong.flags = flag::ECHO | flag::NO_ACK;
        pong.payload = ping.payload.slice(..ping.payload.len().min(MAX_ECHO));
        if let Ok(bytes) = pong.to_bytes() {
            self.stats.pongs += 1;
            self.out.push_back(Out::Packet { to: remote, ports: ports.turned(), stream: 0, lane: 0, bytes });
        }
        Ok(())
    }

    /// The answer to a ping of ours, which only the one who was asked can give.
    fn take_pong(&mut self, from: Option<DestinationHash>, id: u32) -> Result<(), Refused> {
        let at = self.asked.iter().position(|(asked, _)| *asked == id).ok_or(Refused::Unknown)?;
        if from.is_some_and(|from| from != self.asked[at].1) {
            return Err(Refused::WrongSender);
        }
        self.asked.remove(at);
        self.out.push_back(Out::Pong(id));
        Ok(())
    }

    /// Tells who sends something to a stream that there is not, or not any more, that nobody waits for it. Otherwise he would send it again
    /// for minutes: what was begun here and given up before the answer came is such a stream.
    ///
    /// INTEROP: Java does so, too. i2pd takes it as the next packet of the stream.
    fn refuse(&mut self, now: Now, from: Option<DestinationHash>, ports: Ports, packet: &Packet) {
        let wants = packet.has(flag::SYNCHRONIZE) || !packet.payload.is_empty();
        let Some(to) = from.filter(|_| wants && !packet.has(flag::RESET)) else { return };
        if !self.resets.take(RESETS, now.mono) {
            return;
        }
        let next = packet.ack_through.wrapping_add(1).max(1);
        let reset = Packet::reset(packet.receive_stream, packet.send_stream, next);
        if let Some(bytes) = encode(&self.us, &to, reset) {
            self.out.push_back(Out::Packet { to, ports: ports.turned(), stream: 0, lane: 0, bytes });
        }
    }

    fn keep_early(&mut self, now: Now, sender: DestinationHash, packet: Packet) -> Result<(), Refused> {
        if !self.listening || packet.has(flag::RESET) {
            return Err(Refused::Unknown);
        }
        while self.early.len() >= EARLY || self.early.front().is_some_and(|(at, ..)| *at + EARLY_LIFE < now.mono) {
            self.early.pop_front();
        }
        self.early.push_back((now.mono, sender, packet));
        Ok(())
    }

    /// A packet of a stream that there is.
    fn known(
        &mut self,
        now: Now,
        from: Option<DestinationHash>,
        ports: Ports,
        id: u32,
        packet: &Packet,
        bytes: &Bytes,
    ) -> Result<(), Refused> {
        let entry = self.entries.get_mut(&id).ok_or(Refused::Unknown)?;
        if from.is_some_and(|from| from != entry.remote) {
            return Err(Refused::WrongSender);
        }
        if matches!(entry.stream.ended(), Some(End::Broken | End::Unreachable | End::TimedOut)) {
            self.refuse(now, from, ports, packet);
            return Err(Refused::Unknown);
        }
        if let Some(from) = &packet.from {
            if from.hash() != entry.remote {
                return Err(Refused::WrongSender);
            }
            entry.from.get_or_insert_with(|| from.clone());
            entry.offline = packet.offline.clone().or(entry.offline.take());
        }
        // A session proves its sender; without one these need a signature.
        if from.is_none() && packet.flags & (flag::SYNCHRONIZE | flag::CLOSE | flag::RESET) != 0 {
            let mut packet = packet.clone();
            packet.offline = packet.offline.or_else(|| entry.offline.clone());
            let signer = entry.from.as_ref().ok_or(Refused::BadSignature)?;
            packet.verify(bytes, signer, now.wall).map_err(|_| Refused::BadSignature)?;
        }
        let before = entry.stream.delivered();
        entry.stream.handle_packet(now.mono, packet);
        if entry.stream.delivered() > before {
            self.ways.entry(entry.remote).or_default().arrived(now.mono, id);
        }
        self.round_trip = entry.stream.take_round_trip().map(|(at, round_trip)| (entry.remote, at, round_trip));
        self.hear_suspicions(id);
        self.out.push_back(Out::Changed(id));
        self.serve(id);
        Ok(())
    }

    /// The first packet of a stream that another begins.
    fn first(
        &mut self,
        now: Now,
        from: Option<DestinationHash>,
        ports: Ports,
        packet: &Packet,
        bytes: &Bytes,
    ) -> Result<(), Refused> {
        if !self.listening {
            return Err(Refused::NotListening);
        }
        let signer = packet.from.clone().ok_or(Refused::BadSignature)?;
        let remote = signer.hash();
        if from.is_some_and(|from| from != remote) {
            return Err(Refused::WrongSender);
        }
        // INTEROP: i2pd leaves the hash out when it does not sign, which it does only where the session proves it.
        if packet.target().is_some_and(|target| target != self.us.destination.hash()) {
            return Err(Refused::WrongTarget);
        }
        if from.is_none() || packet.signature.is_some() {
            packet.verify(bytes, &signer, now.wall).map_err(|_| Refused::BadSignature)?;
        }
        if !self.has_room(&remote) {
            return Err(Refused::TooMany);
        }
        let id = self.free_id();
        let stream = Stream::accept(self.config_for(&remote), &self.memory, id, packet, now.mono);
        self.insert(id, stream, remote, Some(signer), ports.turned());
        self.theirs.insert((remote, packet.receive_stream), id);
        self.stats.accepted += 1;
        self.out.push_back(Out::Accepted { stream: id, remote });
        self.out.push_back(Out::Changed(id));
        let (followers, others) = self
            .early
            .drain(..)
            .partition(|(_, sender, early)| *sender == remote && early.receive_stream == packet.receive_stream);
        self.early = others;
        let followers: VecDeque<(Mono, DestinationHash, Packet)> = followers;
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.offline = packet.offline.clone();
            followers.iter().for_each(|(_, _, packet)| entry.stream.handle_packet(now.mono, packet));
        }
        self.serve(id);
        Ok(())
    }
}
