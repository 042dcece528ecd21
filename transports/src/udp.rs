//! UDP sockets: many datagrams with one call, in both directions.
//!
//! Every I/O thread has a socket of its own at each address that we listen on; the kernel spreads peers over them
//! (`SO_REUSEPORT`). What the kernel can do (`UDP_SEGMENT`, `UDP_GRO`) is probed when a socket is made, and given up
//! when it turns out not to work.

use mio::event::Source;
use mio::{Interest, Registry, Token};
use quinn_udp::{EcnCodepoint, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, SockAddr, Type};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};

/// Receive calls fill at most so many buffers, of which each holds a datagram, or with `UDP_GRO` sixty of one sender. What
/// is not filled takes no memory. Measured: 128 peers, 100 MB/s of datagrams that the kernel does not join, the last
/// hundredth of cells came 262 ms late with eight buffers, as the kernel's ran over, and 33 ms with so many.
const BUFFERS: usize = 32;

/// A buffer for one datagram, which has at most 1500 bytes with its headers.
const SINGLE: usize = 2048;

/// A buffer for what `UDP_GRO` joins.
const JOINED: usize = 64 * 1024;

/// What we ask the kernel to hold for a socket that is not read for a moment. It may give less.
const KERNEL_BUFFER: usize = 4 * 1024 * 1024;

/// Binds one socket for each thread and address. Port 0 picks one port for all threads.
///
/// # Errors
/// If an address cannot be had.
pub(crate) fn bind(listen: &[SocketAddr], threads: usize) -> io::Result<Vec<Vec<UdpSocket>>> {
    let mut all: Vec<Vec<UdpSocket>> = (0..threads).map(|_| Vec::new()).collect();
    // Where a port cannot be shared one thread has it alone.
    let sharing = if cfg!(unix) { threads } else { 1 };
    for addr in listen {
        let mut addr = *addr;
        for sockets in all.iter_mut().take(sharing) {
            let socket = socket2::Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
            if addr.is_ipv6() {
                // A socket for all addresses would take the IPv4 port too, which has one of its own.
                socket.set_only_v6(true)?;
            }
            #[cfg(unix)]
            socket.set_reuse_port(true)?;
            socket.bind(&SockAddr::from(addr))?;
            let socket = UdpSocket::from(socket);
            addr = socket.local_addr()?;
            sockets.push(socket);
        }
    }
    Ok(all)
}

/// One socket of one thread.
pub(crate) struct Socket {
    io: mio::net::UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
    /// The kernel may cut what we send into datagrams, if it can.
    offload: bool,
}

impl Socket {
    /// Prepares a bound socket, which lets the kernel cut what is sent into datagrams if `offload` says so.
    ///
    /// # Errors
    /// If the kernel refuses an option that every kernel knows.
    pub(crate) fn new(socket: UdpSocket, offload: bool) -> io::Result<Self> {
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        // Less than was asked for works, only not as well.
        let _ = state.set_recv_buffer_size(UdpSockRef::from(&socket), KERNEL_BUFFER);
        let _ = state.set_send_buffer_size(UdpSockRef::from(&socket), KERNEL_BUFFER);
        let local = socket.local_addr()?;
        Ok(Self { io: mio::net::UdpSocket::from_std(socket), state, local, offload })
    }

    /// Where it is bound.
    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Enters it into a poll.
    ///
    /// # Errors
    /// What the system says when it cannot watch the socket.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.io.register(registry, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Datagrams of equal size that one call can send, at least 1.
    pub(crate) fn segments(&self) -> usize {
        if self.offload { self.state.max_gso_segments() } else { 1 }
    }

    /// True if the kernel joins datagrams of one sender.
    pub(crate) fn joins(&self) -> bool {
        self.state.gro_segments() > 1
    }

    /// Sends datagrams of `segment` bytes each, the last perhaps shorter, from one of our addresses, or from the one that
    /// the system chooses. What the network or the system refuses is lost, as any datagram may be.
    ///
    /// # Errors
    /// `WouldBlock` if the kernel's buffer is full, `AddrNotAvailable` if the machine has not the address `from`; nothing
    /// was sent then.
    pub(crate) fn send(
        &mut self,
        from: Option<IpAddr>,
        to: SocketAddr,
        datagrams: &[u8],
        segment: usize,
        ecn: bool,
    ) -> io::Result<()> {
        let ecn = ecn.then_some(EcnCodepoint::Ect0);
        let transmit = |contents, segment_size| {
            let transmit = Transmit { destination: to, ecn, contents, segment_size, src_ip: from };
            self.state.try_send(UdpSockRef::from(&self.io), &transmit)
        };
        let several = datagrams.len() > segment;
        match transmit(datagrams, several.then_some(segment)) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Err(e),
            Err(e) if from.is_some_and(|ip| is_gone(ip, &e)) => {
                // `quinn_udp` takes the refusal for one of its options, and would do without them from now on.
                self.state = UdpSocketState::new(UdpSockRef::from(&self.io))?;
                Err(io::ErrorKind::AddrNotAvailable.into())
            }
            // A driver that cannot cut segments says so only now; `quinn_udp` has taken note for the next time.
            Err(_) if several && self.segments() == 1 => {
                datagrams.chunks(segment.max(1)).for_each(|datagram| drop(transmit(datagram, None)));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// True if a sending from this address failed since the machine does not have it. Without a network the system says the
/// same.
fn is_gone(ip: IpAddr, error: &io::Error) -> bool {
    use io::ErrorKind::{AddrNotAvailable, InvalidInput, NetworkUnreachable};
    matches!(error.kind(), AddrNotAvailable | InvalidInput | NetworkUnreachable) && UdpSocket::bind((ip, 0)).is_err()
}

/// Buffers for what sockets bring, shared by all sockets of a thread.
pub(crate) struct Receiver {
    bytes: Vec<u8>,
    size: usize,
    meta: Vec<RecvMeta>,
    batches: Vec<Batch>,
}

/// Datagrams of one sender: equal pieces of a part of the receiver's buffer, the last perhaps shorter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch {
    pub(crate) from: SocketAddr,
    /// Which of our addresses they were sent to, at a socket that has several.
    pub(crate) to: Option<IpAddr>,
    pub(crate) start: usize,
    pub(crate) len: usize,
    /// Bytes of one datagram.
    pub(crate) stride: usize,
    /// A router on the way was congested.
    pub(crate) congested: bool,
}

impl Batch {
    /// One more datagram can lie behind these.
    fn takes(&self, datagram: &Self) -> bool {
        let single = datagram.len <= datagram.stride;
        let alike = (self.from, self.to, self.congested) == (datagram.from, datagram.to, datagram.congested);
        single && alike && datagram.len <= self.stride && self.len.is_multiple_of(self.stride)
    }
}

impl Receiver {
    /// For sockets of which at least one joins datagrams, or none does.
    pub(crate) fn new(joins: bool) -> Self {
        let size = if joins { JOINED } else { SINGLE };
        Self { bytes: vec![0; BUFFERS * size], size, meta: vec![RecvMeta::default(); BUFFERS], batches: Vec::new() }
    }

    /// One receive call. Returns how many batches came, and whether there may be more.
    ///
    /// # Errors
    /// The system's; `WouldBlock` is none.
    pub(crate) fn receive(&mut self, socket: &Socket) -> io::Result<(usize, bool)> {
        let mut slices: smallvec::SmallVec<[IoSliceMut<'_>; BUFFERS]> =
            self.bytes.chunks_mut(self.size).map(IoSliceMut::new).collect();
        let received = socket.state.recv(UdpSockRef::from(&socket.io), &mut slices, &mut self.meta);
        drop(slices);
        match received {
            Ok(n) => {
                self.join(n, socket.local.ip().is_unspecified());
                Ok((self.batches.len(), n == self.meta.len()))
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok((0, false)),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok((0, true)),
            Err(e) => Err(e),
        }
    }

    /// Brings together what came one by one, as the kernel does if it can: opened side by side packets cost less than
    /// the copy. `several` says that the socket has several addresses.
    fn join(&mut self, count: usize, several: bool) {
        self.batches.clear();
        for (index, meta) in self.meta.iter().enumerate().take(count) {
            let from = SocketAddr::new(meta.addr.ip().to_canonical(), meta.addr.port());
            let congested = meta.ecn == Some(EcnCodepoint::Ce);
            let to = meta.dst_ip.map(|ip| ip.to_canonical()).filter(|ip| several && may_answer_from(*ip));
            let (start, len, stride) = (index * self.size, meta.len, meta.stride.max(1));
            let batch = Batch { from, to, start, len, stride, congested };
            match self.batches.last_mut() {
                Some(last) if last.takes(&batch) && last.len + batch.len <= self.size => {
                    self.bytes.copy_within(batch.start..batch.start + batch.len, last.start + last.len);
                    last.len += batch.len;
                }
                _ => self.batches.push(batch),
            }
        }
    }

    /// A batch of the last call.
    pub(crate) fn batch(&self, index: usize) -> Batch {
        self.batches[index]
    }

    /// All received bytes, in which each [`Batch`] has its place.
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

/// True unless an answer from this address takes more than the address: one of the link needs its interface named.
fn may_answer_from(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_multicast() && !ip.is_broadcast(),
        IpAddr::V6(ip) => !ip.is_multicast() && !ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn receive_all(receiver: &mut Receiver, socket: &Socket, count: usize) -> Vec<Vec<u8>> {
        let mut got = Vec::new();
        while got.len() < count {
            let (n, _) = receiver.receive(socket).unwrap();
            for i in 0..n {
                let batch = receiver.batch(i);
                let bytes = &receiver.bytes()[batch.start..batch.start + batch.len];
                got.extend(bytes.chunks(batch.stride).map(<[u8]>::to_vec));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        got
    }

    #[test]
    fn threads_share_a_port_and_segments_arrive_as_they_were_sent() {
        let listen = ["127.0.0.1:0".parse().unwrap()];
        let mut sockets = bind(&listen, 2).unwrap();
        let port = sockets[0][0].local_addr().unwrap().port();
        assert_eq!(sockets[1][0].local_addr().unwrap().port(), port);
        sockets.truncate(1);
        let receiver_socket = Socket::new(sockets.remove(0).remove(0), true).unwrap();
        let mut sender = Socket::new(bind(&listen, 1).unwrap().remove(0).remove(0), true).unwrap();
        let sent: Vec<u8> = (0..10 * 1072 + 40).map(|i| (i / 1072) as u8).collect();
        sender.send(None, receiver_socket.local(), &sent, 1072, true).unwrap();
        let mut receiver = Receiver::new(receiver_socket.joins());
        let got = receive_all(&mut receiver, &receiver_socket, 11);
        assert_eq!(got.iter().map(Vec::len).collect::<Vec<_>>(), [vec![1072; 10], vec![40]].concat());
        assert_eq!(got.concat(), sent);
        assert_eq!(receiver.receive(&receiver_socket).unwrap(), (0, false));
    }

    #[test]
    fn datagrams_that_came_one_by_one_are_joined_by_sender_as_the_kernel_would() {
        let listen = ["127.0.0.1:0".parse().unwrap()];
        let mut sockets = bind(&listen, 1).unwrap();
        let receiver_socket = Socket::new(sockets.remove(0).remove(0), true).unwrap();
        if !receiver_socket.joins() {
            return;
        }
        let sender = || Socket::new(bind(&listen, 1).unwrap().remove(0).remove(0), false).unwrap();
        let (mut first, mut second) = (sender(), sender());
        let send = |socket: &mut Socket, byte: u8, len: usize| {
            socket.send(None, receiver_socket.local(), &vec![byte; len], len, true).unwrap();
        };
        // A short one ends a batch, a longer one begins another, and so does another sender.
        for (byte, len) in [(1, 100), (2, 100), (3, 60), (4, 60), (5, 100)] {
            send(&mut first, byte, len);
        }
        [6, 7].into_iter().for_each(|byte| send(&mut second, byte, 100));
        std::thread::sleep(Duration::from_millis(20));
        let mut receiver = Receiver::new(true);
        let (count, _) = receiver.receive(&receiver_socket).unwrap();
        let batches: Vec<_> = (0..count).map(|i| receiver.batch(i)).collect();
        assert_eq!(
            batches.iter().map(|b| (b.len, b.stride)).collect::<Vec<_>>(),
            [(260, 100), (60, 60), (100, 100), (200, 100)]
        );
        let firsts = batches.iter().flat_map(|b| (b.start..b.start + b.len).step_by(b.stride));
        let firsts: Vec<_> = firsts.map(|at| receiver.bytes[at]).collect();
        assert_eq!(firsts, [1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn an_answer_leaves_from_the_address_that_was_called() {
        let open = |at: &str| Socket::new(bind(&[at.parse().unwrap()], 1).unwrap().remove(0).remove(0), true).unwrap();
        let (mut everywhere, mut caller) = (open("0.0.0.0:0"), open("127.0.0.1:0"));
        let port = everywhere.local().port();
        // All of 127/8 is on this machine, and the system would answer from 127.0.0.1.
        for called in [IpAddr::from([127, 0, 0, 9]), IpAddr::from([127, 7, 0, 1])] {
            caller.send(None, SocketAddr::new(called, port), &[1; 100], 100, false).unwrap();
            let mut receiver = Receiver::new(everywhere.joins());
            receive_all(&mut receiver, &everywhere, 1);
            let batch = receiver.batch(0);
            assert_eq!(batch.to, Some(called));
            everywhere.send(batch.to, batch.from, &[2; 100], 100, false).unwrap();
            let mut receiver = Receiver::new(caller.joins());
            receive_all(&mut receiver, &caller, 1);
            assert_eq!((receiver.batch(0).from, receiver.batch(0).to), (SocketAddr::new(called, port), None));
        }
    }

    #[test]
    fn an_address_that_the_machine_has_no_more_is_told_and_costs_no_offload() {
        let mut socket =
            Socket::new(bind(&["0.0.0.0:0".parse().unwrap()], 1).unwrap().remove(0).remove(0), true).unwrap();
        let (segments, to) = (socket.segments(), SocketAddr::new(IpAddr::from([127, 0, 0, 1]), socket.local().port()));
        let gone = Some(IpAddr::from([203, 0, 113, 9]));
        let refused = socket.send(gone, to, &[1; 300], 100, true).unwrap_err();
        assert_eq!((refused.kind(), socket.segments()), (io::ErrorKind::AddrNotAvailable, segments));
        socket.send(None, to, &[1; 300], 100, true).unwrap();
    }
}
