//! The tick of a thread whose clock is turned by hand.

use crate::clock::Clock;
use crate::event::{Deaf, Direction};
use crate::hop::{Hop, HopKind};
use crate::io::egress::Head;
use crate::io::{IoConfig, IoThread, Udp, UnstartedIoThread, shaper};
use crate::live::{Live, Settings};
use crate::ports::account::Account;
use crate::ports::datagrams::{Datagrams, Origin};
use crate::ports::established::Established;
use crate::ports::io::Command;
use crate::ports::ssu2::{Adoption, Ssu2Handle};
use crate::stats::Transport;
use crate::udp::{self, Socket};
use arc_swap::ArcSwap;
use bytes::Bytes;
use ramson_crypto::tunnel::LayerCipher;
use ramson_protocol::id::{RouterHash, TunnelId};
use ramson_protocol::link::reason::Reason;
use ramson_protocol::link::role::Role;
use ramson_protocol::link::skew::ClockSkew;
use ramson_protocol::ntcp2::frame::{FrameOpener, FrameSealer, SipKeys};
use ramson_protocol::shape::Limits;
use ramson_protocol::ssu2::established as ssu2;
use ramson_protocol::ssu2::header::MaskKey;
use ramson_protocol::ssu2::keys::DataKeys;
use ramson_protocol::ssu2::local::OurEnd;
use ramson_protocol::ssu2::session::{self, Event, Session as Core};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

/// A thread with one session of each transport, neither of which says anything.
struct Rig {
    thread: IoThread,
    live: Arc<Live>,
    /// Open until the end.
    _far: TcpStream,
    /// Where the peer of the session of SSU2 is.
    peer: UdpSocket,
}

impl Rig {
    fn new(ntcp2: u64, ssu2: u64) -> Self {
        let (clock, unstarted) = (Clock::new(), UnstartedIoThread::new().unwrap());
        let handle = unstarted.handle();
        let [of_ntcp2, of_ssu2] = [ntcp2, ssu2].map(|secs| Settings { idle_close: Duration::from_secs(secs) });
        let live = Arc::new(Live::new(of_ntcp2, of_ssu2));
        let config = IoConfig {
            router: RouterHash([1; 32]),
            router_info: Arc::new(ArcSwap::from_pointee(Bytes::new())),
            line: Arc::new(shaper::Line::new(Limits::even(1_000_000), 1, clock.now().mono)),
            clock,
            sink: Arc::new(Deaf),
            live: Arc::clone(&live),
            iv_filter: Default::default(),
            draining: Arc::default(),
        };
        let local: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let sockets = udp::bind(&[local], 1).unwrap().remove(0);
        let sockets = sockets.into_iter().map(|socket| Socket::new(socket, false).unwrap()).collect();
        // Neither silence nor anything else is to end the session before its time.
        let session = session::Config { idle: Duration::from_secs(ssu2), silence: Duration::MAX, ..Default::default() };
        let udp = Udp::new(sockets, [3; 32], session, 1, Ssu2Handle::deaf());
        let thread = unstarted.into_thread(0, std::slice::from_ref(&handle), config, Some(Box::new(udp))).unwrap();
        let listener = TcpListener::bind(local).unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (ours, addr) = listener.accept().unwrap();
        ours.set_nonblocking(true).unwrap();
        handle.command(Command::Adopt(Box::new(tcp(ours, addr)))).unwrap();
        let peer = UdpSocket::bind(local).unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let established = Box::new(datagrams(peer.local_addr().unwrap()));
        let adoption = Adoption { established, token: (1, u32::MAX), behind_nat: true };
        handle.command(Command::AdoptSsu2(Box::new(adoption))).unwrap();
        let mut rig = Self { thread, live, _far: far, peer };
        {
            let IoThread { relay, links } = &mut rig.thread;
            links.take_inbox(relay);
        };
        assert_eq!(rig.open(), [1, 1]);
        rig
    }

    /// The sessions that are open `seconds` later: of NTCP2, of SSU2.
    fn after(&mut self, seconds: u64) -> [u64; 2] {
        self.thread.links.now.mono += Duration::from_secs(seconds);
        self.thread.links.fire_udp_timers();
        let IoThread { relay, links } = &mut self.thread;
        relay.begin(links.now);
        links.tick(relay);
        self.open()
    }

    fn command(&mut self, command: Command) {
        let IoThread { relay, links } = &mut self.thread;
        links.on_command(relay, command);
    }

    /// The peer's end of the session of SSU2.
    fn far_end(&self) -> Core {
        let ours = datagrams(self.peer.local_addr().unwrap());
        let theirs = ssu2::Established {
            role: Role::Responder,
            local_id: ours.remote_id,
            remote_id: ours.local_id,
            local_intro: ours.remote_intro.clone(),
            remote_intro: ours.local_intro.clone(),
            recv: datagrams(ours.addr).send,
            send: datagrams(ours.addr).recv,
            ..ours
        };
        let config =
            session::Config { silence: Duration::MAX, idle: Duration::from_secs(100_000), ..Default::default() };
        Core::new(&theirs, config, [9; 32], self.thread.links.now)
    }

    /// Carries what the peer has to send to the thread.
    fn carry(&mut self, peer: &mut Core) {
        let (now, mut out) = (self.thread.links.now, Vec::new());
        let origin = Origin { from: self.peer.local_addr().unwrap(), local: OurEnd::default(), congested: false };
        while peer.poll_transmit(now, &mut out, 1).is_some() {
            let mut datagrams = Datagrams::default();
            datagrams.push(origin, 1, &out);
            let IoThread { relay, links } = &mut self.thread;
            links.on_datagrams(relay, datagrams);
            out.clear();
        }
    }

    /// What the thread has sent to the peer by now.
    fn fetch(&mut self, peer: &mut Core, patience: Duration) -> Vec<Event> {
        let (mut events, mut bytes) = (Vec::new(), [0; 2000]);
        self.peer.set_read_timeout(Some(patience)).unwrap();
        while let Ok((len, from)) = self.peer.recv_from(&mut bytes) {
            peer.handle_datagrams(self.thread.links.now, from, &mut bytes[..len], len, &mut events);
            if peer.is_ended() || events.iter().any(|event| matches!(event, Event::Terminated { .. })) {
                break;
            }
        }
        events
    }

    fn open(&self) -> [u64; 2] {
        [Transport::Ntcp2, Transport::Ssu2].map(|transport| {
            let wire = self.thread.links.stats.wire(transport);
            wire.sessions_in.get() + wire.sessions_out.get()
        })
    }
}

fn tcp(stream: TcpStream, addr: SocketAddr) -> Established {
    Established {
        peer: RouterHash([2; 32]),
        addr,
        direction: Direction::Outbound,
        stream: mio::net::TcpStream::from_std(stream),
        opener: FrameOpener::new(&[1; 32], SipKeys::new(&[5; 32])),
        sealer: FrameSealer::new(&[2; 32], SipKeys::new(&[5; 32])),
        router_info: None,
        leftover: Vec::new(),
        skew_ms: 0,
        seat: None,
    }
}

fn datagrams(addr: SocketAddr) -> ssu2::Established {
    let keys = |key| DataKeys { k_data: [key; 32], k_header_2: MaskKey::new([key; 32]) };
    ssu2::Established {
        role: Role::Initiator,
        peer: RouterHash([4; 32]),
        addr,
        local: OurEnd::default(),
        local_id: 1,
        remote_id: 2,
        local_intro: MaskKey::new([3; 32]),
        remote_intro: MaskKey::new([4; 32]),
        recv: keys(5),
        send: keys(6),
        mtu: 1500,
        next_number: 1,
        received: None,
        confirmed: Default::default(),
        skew: ClockSkew(0),
        rtt: Duration::ZERO,
        router_info: None,
        flood: false,
        peer_padding: None,
        our_addr: None,
        relay_tag: None,
        relay_tag_requested: false,
        new_token: None,
        early: Vec::new(),
    }
}

#[test]
fn the_sessions_of_each_transport_stay_open_for_their_own_time() {
    let mut rig = Rig::new(10, 100);
    assert_eq!(rig.after(9), [1, 1]);
    assert_eq!(rig.after(2), [0, 1]);
    assert_eq!(rig.after(91), [0, 0]);
    let mut rig = Rig::new(100, 10);
    assert_eq!(rig.after(11), [1, 0]);
}

#[test]
fn a_changed_time_holds_for_sessions_that_are_open() {
    let mut rig = Rig::new(100, 10);
    rig.live.set(Transport::Ssu2, Settings { idle_close: Duration::from_secs(50) });
    rig.live.set(Transport::Ntcp2, Settings { idle_close: Duration::from_secs(20) });
    assert_eq!(rig.after(1), [1, 1]);
    assert_eq!(rig.after(18), [1, 1], "of SSU2 the former time is over");
    assert_eq!(rig.after(2), [0, 1]);
    assert_eq!(rig.after(30), [0, 0]);
}

#[test]
fn the_filter_of_repeated_cells_grows_and_shrinks_with_the_line() {
    let mut rig = Rig::new(100, 100);
    let mut cells = |rate| {
        rig.thread.links.config.line.set(Limits::even(rate));
        rig.after(1);
        rig.thread.relay.max_repeats()
    };
    let (slow, fast) = (cells(2_000_000), cells(20_000_000));
    assert!(fast > 9 * slow && fast > 20_000_000 / 1024 * 660, "{slow} cells, {fast} cells");
    assert_eq!(cells(2_000_000), slow);
}

/// The command that takes a hop out may find the inbox full, and its number may be another's by then.
#[test]
fn a_hop_that_is_over_goes_with_the_next_tick_and_another_with_its_number_stays() {
    let mut rig = Rig::new(100, 100);
    let hop = || {
        let cipher = LayerCipher::new(&[1; 32], &[2; 32]);
        Arc::new(Hop::new(TunnelId(7), HopKind::OutboundEndpoint { cipher }, Some(RouterHash([2; 32]))))
    };
    let (first, second) = (hop(), hop());
    rig.command(Command::InstallHop(Arc::clone(&first)));
    first.end();
    rig.after(1);
    assert!(rig.thread.relay.find(7).is_none());
    rig.command(Command::InstallHop(second));
    rig.command(Command::RemoveHop(first));
    assert!(rig.thread.relay.find(7).is_some(), "only the number is the same");
}

/// Whatever became of the first asking: a session is asked for as long as messages wait for it, and no longer.
#[test]
fn a_session_is_asked_for_again_while_messages_wait_for_it() {
    let mut rig = Rig::new(100, 100);
    let to = RouterHash([9; 32]);
    let head = Head { kind: 1, id: 1, expiration: u32::MAX };
    rig.thread.links.send(to, head, Account::Ours, &[&[0; 10]]);
    let asked = |rig: &mut Rig| {
        let before = rig.thread.links.up.waiting();
        for _ in 0..8 {
            rig.after(1);
        }
        rig.thread.links.up.waiting() - before
    };
    assert!(asked(&mut rig) >= 1, "asked anew");
    rig.thread.links.unreachable(&rig.thread.relay, &to);
    assert_eq!(asked(&mut rig), 0, "nothing waits any more");
}

/// The thread forgot the session before it had asked it for its answer, and the peer repeated itself in vain.
#[test]
fn a_termination_over_ssu2_is_answered() {
    let mut rig = Rig::new(100, 100);
    let mut peer = rig.far_end();
    peer.close(Reason::NORMAL, rig.thread.links.now);
    rig.carry(&mut peer);
    assert_eq!(rig.open(), [1, 0]);
    rig.fetch(&mut peer, Duration::from_secs(5));
    assert!(peer.is_ended(), "it would wait for three timeouts");
}

/// Behind a NAT each session pings; without this none of them was ever idle.
#[test]
fn pings_behind_a_nat_do_not_keep_a_session_open_unless_its_peer_introduces_us() {
    for (introduces, open) in [(false, 0), (true, 1)] {
        let mut rig = Rig::new(1000, 60);
        let mut peer = rig.far_end();
        if introduces {
            rig.command(Command::Introducers { v4: true, routers: [RouterHash([4; 32])].into() });
        }
        for _ in 0..80 {
            rig.after(1);
            rig.thread.links.flush_dirty();
            rig.fetch(&mut peer, Duration::from_millis(1));
            // The peer pings, too, or it would be taken for gone.
            peer.on_local_address_change(true, rig.thread.links.now);
            rig.carry(&mut peer);
        }
        assert!(peer.stats().packets_in > 3, "it has pinged");
        assert_eq!(rig.open(), [1, open]);
    }
}

/// spec: ssu2 §Multiple Sessions
#[test]
fn a_second_session_of_a_router_over_ssu2_replaces_the_first() {
    let mut rig = Rig::new(100, 100);
    rig.after(10);
    let mut peer = rig.far_end();
    let second = ssu2::Established { local_id: 7, remote_id: 8, ..datagrams(rig.peer.local_addr().unwrap()) };
    let adoption = Adoption { established: Box::new(second), token: (1, u32::MAX), behind_nat: false };
    rig.command(Command::AdoptSsu2(Box::new(adoption)));
    assert_eq!(rig.after(1), [1, 2], "what is under way in the first still comes");
    assert_eq!(rig.after(2), [1, 1]);
    let heard = rig.fetch(&mut peer, Duration::from_secs(5));
    assert!(heard.contains(&Event::Terminated { reason: Reason::REPLACED }), "{heard:?}");
}

#[test]
fn who_makes_us_hold_the_most_gives_way() {
    let mut rig = Rig::new(100, 100);
    let head = Head { kind: 1, id: 1, expiration: u32::MAX };
    (0..50).for_each(|_| rig.thread.links.send(RouterHash([2; 32]), head, Account::Ours, &[&[0; 4000]]));
    let held: usize = rig.thread.links.sessions.iter().map(|(_, session)| session.held()).sum();
    assert!(held > 200_000);
    rig.thread.links.part_with_the_greatest(held, 100_000);
    assert_eq!(rig.open(), [0, 1], "the one of NTCP2 held it");
}
