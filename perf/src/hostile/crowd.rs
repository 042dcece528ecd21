//! Datagrams from many addresses, none of which proves anything, and what comes back to each.

use super::{Context, require};
use crate::peer::Outcome;
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use std::collections::HashMap;
use std::io::{ErrorKind, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

/// Bytes that may come back to an address for each that came from it.
const AMPLIFICATION: u64 = 3;
/// What the kernel is asked to hold of what comes back.
const KERNEL_BUFFER: usize = 4 << 20;
/// For the last answers.
const LAST: Duration = Duration::from_millis(300);

/// What went and came.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Account {
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) answers: u64,
}

/// A crowd on the network of our own address, as wide as its first two bytes.
pub(super) struct Crowd {
    socket: UdpSocket,
    state: UdpSocketState,
    to: SocketAddr,
    network: [u8; 2],
    accounts: HashMap<IpAddr, Account>,
    /// What came back last to anyone.
    pub(super) answers: Vec<Vec<u8>>,
}

impl Crowd {
    pub(super) fn new(cx: &Context) -> Outcome<Self> {
        let to = cx.target.ssu2()?.addr;
        let ours = match cx.target.source.unwrap_or(to.ip()) {
            IpAddr::V4(ours) => ours.octets(),
            IpAddr::V6(_) => return Err("a crowd has addresses of IPv4: name one with --source".into()),
        };
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        // Less than was asked for works, only not as well.
        let _ = state.set_recv_buffer_size(UdpSockRef::from(&socket), KERNEL_BUFFER);
        let network = [ours[0], ours[1]];
        Ok(Self { socket, state, to, network, accounts: HashMap::new(), answers: Vec::new() })
    }

    /// Sends a datagram as the `n`th of the crowd.
    pub(super) fn send(&mut self, n: u16, datagram: &[u8]) -> Outcome<()> {
        let [a, b] = self.network;
        let from = IpAddr::from([a, b, 2 + (n / 250) as u8, 1 + (n % 250) as u8]);
        let (destination, contents) = (self.to, datagram);
        let transmit = Transmit { destination, ecn: None, contents, segment_size: None, src_ip: Some(from) };
        match self.state.try_send(UdpSockRef::from(&self.socket), &transmit) {
            Ok(()) => self.accounts.entry(from).or_default().sent += datagram.len() as u64,
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Err(e) => {
                let hint = format!("ip route add local {a}.{b}.0.0/16 dev lo");
                return Err(format!("cannot send from {from}: {e} (is it ours? `{hint}`)").into());
            }
        }
        Ok(())
    }

    /// Takes in what has come back by now.
    pub(super) fn listen(&mut self) -> Outcome<()> {
        self.answers.clear();
        let mut bytes = vec![0; 64 * 1024];
        loop {
            let mut meta = [RecvMeta::default()];
            match self.state.recv(UdpSockRef::from(&self.socket), &mut [IoSliceMut::new(&mut bytes)], &mut meta) {
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e.into()),
            }
            let [RecvMeta { len, stride, dst_ip: Some(to), .. }] = meta else { continue };
            let account = self.accounts.entry(to).or_default();
            account.received += len as u64;
            for datagram in bytes[..len].chunks(stride.max(1)) {
                account.answers += 1;
                self.answers.push(datagram.to_vec());
            }
        }
    }

    /// What went and came in all. Fails if more came back to an address than it may cause.
    pub(super) fn settle(&mut self) -> Outcome<Account> {
        std::thread::sleep(LAST);
        self.listen()?;
        let mut whole = Account::default();
        for Account { sent, received, answers } in self.accounts.values() {
            require(*received <= sent * AMPLIFICATION, format!("{received} bytes came back for {sent}"))?;
            whole.sent += sent;
            whole.received += received;
            whole.answers += answers;
        }
        Ok(whole)
    }
}
