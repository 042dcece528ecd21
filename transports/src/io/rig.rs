//! The far end of a session, for tests of a thread whose loop the test turns.

use crate::event::Direction;
use crate::ports::established::Established;
use crate::ports::io::{Command, IoHandle};
use crate::relay::{CELL, CELL_MESSAGE};
use bytes::Bytes;
use ramson_protocol::i2np::{Message, MessageType};
use ramson_protocol::id::{MessageId, RouterHash, TunnelId};
use ramson_protocol::ntcp2::block::{Block, Blocks, write_i2np_header};
use ramson_protocol::ntcp2::frame::{FrameOpener, FrameSealer, LEN_LEN, SipKeys};
use ramson_protocol::time::Wall;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

/// The far end of a session.
pub(super) struct Far {
    stream: TcpStream,
    sealer: FrameSealer,
    opener: FrameOpener,
    received: Vec<u8>,
    next: Option<usize>,
    /// The first byte of each cell that came, with its tunnel.
    pub(super) cells: Vec<(u32, u8)>,
    /// All messages that came, whole, if they are wanted.
    pub(super) messages: Option<Vec<Message>>,
}

impl Far {
    /// A new session of thread `home` with a router, which reads only when it is told.
    pub(super) fn connect(home: &IoHandle, peer: RouterHash) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (ours, addr) = listener.accept().unwrap();
        ours.set_nonblocking(true).unwrap();
        let sip = || SipKeys::new(&[5; 32]);
        let session = Established {
            peer,
            addr,
            direction: Direction::Outbound,
            stream: mio::net::TcpStream::from_std(ours),
            opener: FrameOpener::new(&[7; 32], sip()),
            sealer: FrameSealer::new(&[8; 32], sip()),
            router_info: None,
            leftover: Vec::new(),
            skew_ms: 0,
            seat: None,
        };
        home.command(Command::Adopt(Box::new(session))).unwrap();
        stream.set_nonblocking(true).unwrap();
        let (sealer, opener) = (FrameSealer::new(&[7; 32], sip()), FrameOpener::new(&[8; 32], sip()));
        Self { stream, sealer, opener, received: Vec::new(), next: None, cells: Vec::new(), messages: None }
    }

    /// Sends cells of a tunnel that begin with these bytes.
    pub(super) fn send(&mut self, tunnel: TunnelId, cells: &[u8]) {
        for byte in cells {
            let mut frame = vec![0; LEN_LEN];
            write_i2np_header(&mut frame, CELL_MESSAGE, MessageId(1), u32::MAX, 4 + CELL).unwrap();
            frame.extend_from_slice(&tunnel.0.to_be_bytes());
            // What makes a cell a repeated one is its IV and its first block together.
            frame.push(*byte);
            frame.resize(frame.len() + CELL - 1, 0);
            self.sealer.seal_in_place(&mut frame, 0).unwrap();
            self.stream.write_all(&frame).unwrap();
        }
    }

    /// Reads all that there is.
    pub(super) fn read(&mut self) {
        let mut buffer = [0; 64 * 1024];
        while let Ok(n @ 1..) = self.stream.read(&mut buffer) {
            self.received.extend_from_slice(&buffer[..n]);
        }
        let mut at = 0;
        loop {
            if self.next.is_none() && self.received.len() >= at + LEN_LEN {
                self.next = Some(self.opener.next_len([self.received[at], self.received[at + 1]]).unwrap());
                at += LEN_LEN;
            }
            let Some(len) = self.next.filter(|len| self.received.len() >= at + len) else { break };
            for block in Blocks::new(self.opener.open(&mut self.received[at..at + len]).unwrap()) {
                let Block::I2np(message) = block.unwrap() else { continue };
                if message.kind == CELL_MESSAGE {
                    let (tunnel, cell) = message.body.split_first_chunk::<4>().unwrap();
                    self.cells.push((u32::from_be_bytes(*tunnel), cell[0]));
                }
                if let Some(messages) = &mut self.messages {
                    messages.push(Message {
                        kind: MessageType::from_code(message.kind),
                        id: message.id,
                        expiration: Wall::from_secs(message.expiration),
                        body: Bytes::copy_from_slice(message.body),
                    });
                }
            }
            at += len;
            self.next = None;
        }
        self.received.drain(..at);
    }
}
