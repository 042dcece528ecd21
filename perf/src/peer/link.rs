//! A blocking session: handshake, messages out, blocks in.

use super::{Identity, Outcome, Target, now};
use bytes::Bytes;
use ramson_protocol::dialing::Transport;
use ramson_protocol::i2np::{Message, MessageType};
use ramson_protocol::link::reason::Reason;
use ramson_protocol::link::replay::ReplayCache;
use ramson_protocol::ntcp2::block::{Block, Blocks, write_i2np_header};
use ramson_protocol::ntcp2::frame::{FrameOpener, FrameSealer, LEN_LEN};
use ramson_protocol::ntcp2::initiator::{self, AwaitCreated, Initiator, InitiatorStep, Local};
use ramson_protocol::time::{Now, Wall};
use rand_chacha::ChaCha20Rng;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A frame of messages is sealed when it has grown to this.
const FRAME_TARGET: usize = 15 * 1024;

/// What a session brought.
#[derive(Debug)]
pub enum Received {
    /// An I2NP message.
    Message(Message),
    /// The router ends the session and says why.
    Termination(Reason),
    /// The connection is over.
    Closed,
}

/// A session with the router under test.
pub struct Link {
    /// The socket.
    pub stream: TcpStream,
    /// Opens the router's frames.
    pub opener: FrameOpener,
    /// Seals ours.
    pub sealer: FrameSealer,
    received: Vec<u8>,
    waiting: Vec<Received>,
}

impl Link {
    /// Shakes hands as `who`.
    ///
    /// # Errors
    /// If the router cannot be reached or refuses us in the handshake. A refusal after message 3 comes as a
    /// [`Received::Termination`].
    pub fn open(target: &Target, who: &Identity, rng: &mut ChaCha20Rng) -> Outcome<Self> {
        Self::open_as(target, who.local(target.net_id, &who.info), Duration::ZERO, false, rng)
    }

    /// The same with a handshake of the caller's making: message 1 tells a time that is `lie` off, in the past if
    /// `past`.
    ///
    /// # Errors
    /// As [`Link::open`].
    pub fn open_as(
        target: &Target,
        local: Local<'_>,
        lie: Duration,
        past: bool,
        rng: &mut ChaCha20Rng,
    ) -> Outcome<Self> {
        let ntcp2 = target.ntcp2()?;
        let remote = initiator::Remote { hash: &target.hash, static_key: &ntcp2.static_key, iv: &ntcp2.iv };
        let mut stream = target.connect()?;
        stream.set_read_timeout(Some(HANDSHAKE))?;
        let mut out = Vec::new();
        let truth = now();
        let told = Now { wall: if past { truth.wall.minus(lie) } else { truth.wall.plus(lie) }, ..truth };
        let mut state = Initiator::Created(AwaitCreated::start(local, remote, rng, told, &mut out)?);
        stream.write_all(&out)?;
        out.clear();
        let mut replay = ReplayCache::new([7; 16], 16, truth.mono);
        let mut received = Vec::new();
        let mut buffer = [0; 2048];
        loop {
            let n = stream.read(&mut buffer)?;
            if n == 0 {
                return Err("closed in the handshake".into());
            }
            received.extend_from_slice(&buffer[..n]);
            match state.advance(&mut replay, now(), &mut received, &mut out)? {
                InitiatorStep::Wait(next) => state = next,
                InitiatorStep::Done(session) => {
                    stream.write_all(&out)?;
                    let (opener, sealer) = (session.opener, session.sealer);
                    return Ok(Self { stream, opener, sealer, received, waiting: Vec::new() });
                }
            }
        }
    }

    /// The socket, both directions, and what was received and not read yet: for an owner that does not block.
    pub fn into_parts(self) -> (TcpStream, FrameOpener, FrameSealer, Vec<u8>) {
        (self.stream, self.opener, self.sealer, self.received)
    }

    /// Sends messages, several to a frame.
    ///
    /// # Errors
    /// The socket's; or a message is longer than a frame.
    pub fn send(&mut self, messages: &[Message]) -> Outcome<()> {
        let mut out = Vec::with_capacity(64 * 1024);
        let mut frame = None;
        for message in messages {
            let start = *frame.get_or_insert_with(|| {
                out.extend_from_slice(&[0; LEN_LEN]);
                out.len() - LEN_LEN
            });
            let seconds = Wall(message.expiration.0 + 500).secs();
            write_i2np_header(&mut out, message.kind.code(), message.id, seconds, message.body.len())?;
            out.extend_from_slice(&message.body);
            if out.len() - start > FRAME_TARGET {
                self.sealer.seal_in_place(&mut out, start)?;
                frame = None;
            }
        }
        if let Some(start) = frame {
            self.sealer.seal_in_place(&mut out, start)?;
        }
        self.stream.write_all(&out)?;
        Ok(())
    }

    /// One frame of blocks, sealed and not sent: to be spoilt.
    ///
    /// # Errors
    /// If the block does not fit a frame.
    pub fn seal(&mut self, block: &Block<'_>) -> Outcome<Vec<u8>> {
        let mut out = vec![0; LEN_LEN];
        block.write(&mut out)?;
        self.sealer.seal_in_place(&mut out, 0)?;
        Ok(out)
    }

    /// The next message, termination or end; `None` if there is none within `patience`.
    ///
    /// # Errors
    /// If a frame of the router does not authenticate, or a block cannot be read.
    pub fn receive(&mut self, patience: Duration) -> Outcome<Option<Received>> {
        let end = Instant::now() + patience;
        loop {
            if !self.waiting.is_empty() {
                return Ok(Some(self.waiting.remove(0)));
            }
            if self.open_frame()? {
                continue;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            let mut buffer = [0; 16 * 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(Some(Received::Closed)),
                Ok(n) => self.received.extend_from_slice(&buffer[..n]),
                Err(e) if is_timeout(&e) || e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Ok(Some(Received::Closed)),
            }
        }
    }

    /// Waits for the router's first frame: only then has it accepted us.
    ///
    /// # Errors
    /// If the session ends before, or nothing comes within `patience`.
    pub fn wait_until_up(&mut self, patience: Duration) -> Outcome<()> {
        if self.is_greeted(patience)? { Ok(()) } else { Err("the router says nothing after the handshake".into()) }
    }

    /// The same for routers that may have nothing to say: false if nothing comes within `patience`.
    ///
    /// # Errors
    /// If the session ends before.
    pub fn is_greeted(&mut self, patience: Duration) -> Outcome<bool> {
        let end = Instant::now() + patience;
        let mut kept = Vec::new();
        while self.opener.frames() == 0 {
            match self.receive(Duration::from_millis(1))? {
                Some(Received::Message(message)) => kept.push(Received::Message(message)),
                Some(Received::Termination(reason)) => {
                    return Err(format!(
                        "the router ended the session: {} {}",
                        reason.0,
                        reason.label(Transport::Ntcp2)
                    )
                    .into());
                }
                Some(Received::Closed) => return Err("the router closed the connection".into()),
                None if Instant::now() >= end => break,
                None => {}
            }
        }
        kept.append(&mut self.waiting);
        self.waiting = kept;
        Ok(self.opener.frames() > 0)
    }

    /// The next message that `wanted` likes; others are dropped.
    ///
    /// # Errors
    /// If the session ends before.
    pub fn wait_for(&mut self, patience: Duration, wanted: impl Fn(&Message) -> bool) -> Outcome<Option<Message>> {
        let end = Instant::now() + patience;
        loop {
            match self.receive(end.saturating_duration_since(Instant::now()))? {
                Some(Received::Message(message)) if wanted(&message) => return Ok(Some(message)),
                Some(Received::Message(_)) => {}
                Some(Received::Termination(reason)) => {
                    return Err(format!(
                        "the router ended the session: {} {}",
                        reason.0,
                        reason.label(Transport::Ntcp2)
                    )
                    .into());
                }
                Some(Received::Closed) => return Err("the router closed the connection".into()),
                None => return Ok(None),
            }
        }
    }

    /// How the session ends, within `patience`: the termination that the router gave, if it gave one.
    ///
    /// # Errors
    /// If it does not end.
    pub fn wait_for_end(&mut self, patience: Duration) -> Outcome<Option<Reason>> {
        let end = Instant::now() + patience;
        let mut said = None;
        loop {
            match self.receive(end.saturating_duration_since(Instant::now()))? {
                Some(Received::Termination(reason)) => said = Some(reason),
                Some(Received::Closed) => return Ok(said),
                Some(Received::Message(_)) => {}
                None => return Err(format!("the session still stands after {patience:?}").into()),
            }
        }
    }

    /// Opens one frame of what was received; false if there is no whole one.
    fn open_frame(&mut self) -> Outcome<bool> {
        let Some(field) = self.received.first_chunk::<LEN_LEN>() else { return Ok(false) };
        let len = self.opener.next_len(*field)?;
        let Some(frame) = self.received.get_mut(LEN_LEN..LEN_LEN + len) else { return Ok(false) };
        for block in Blocks::new(self.opener.open(frame)?) {
            match block? {
                Block::I2np(message) => self.waiting.push(Received::Message(Message {
                    kind: MessageType::from_code(message.kind),
                    id: message.id,
                    expiration: Wall::from_secs(message.expiration),
                    body: Bytes::copy_from_slice(message.body),
                })),
                Block::Termination { reason, .. } => self.waiting.push(Received::Termination(reason)),
                _ => {}
            }
        }
        self.received.drain(..LEN_LEN + len);
        Ok(true)
    }
}

/// True if a read ended because nothing came.
pub fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
