//! The client plane as a whole: starts its threads, gives tunnels to them, and takes messages for them.

use crate::destination::{Description, NewDestination, Told};
use crate::own_out::{QUEUE_BYTES, QUEUE_MESSAGES};
use crate::pipe::{Pipe, Stream};
use crate::port::{Held, Input, NewInbound, NewOutbound, Over, Port};
use crate::stats::ClientStats;
use crate::thread::UnstartedClientThread;
use parking_lot::{Mutex, RwLock};
use ramson_crypto::tunnel::LayerCipher;
use ramson_protocol::destination::In;
use ramson_protocol::destination::datagrams::Datagram;
use ramson_protocol::destination::raw::Raw;
use ramson_protocol::i2np::Message;
use ramson_protocol::id::{DestinationHash, DestinationId, TunnelId};
use ramson_protocol::streaming::streams::Ports;
use ramson_protocol::tunnel::Delivery;
use ramson_transports::clock::Clock;
use ramson_transports::event::EventSink;
use ramson_transports::handle::spawn;
use ramson_transports::hop::{HopKind, NextHop};
use ramson_transports::ports::io::{IoHandle, home};
use ramson_transports::ports::own::{Lane, OwnPort};
use rustc_hash::FxHashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// What became of a message for one of our tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It goes: nothing waits before it, and there is credit.
    Now,
    /// It waits until the tunnel's first hop takes more.
    Queued,
    /// So much waits that it was not taken; the sender may try again later.
    Full,
    /// There is no such tunnel any more.
    Gone,
}

impl Sent {
    /// True if the message was taken.
    pub fn is_taken(self) -> bool {
        matches!(self, Self::Now | Self::Queued)
    }
}

/// Where a tunnel lives.
struct Place {
    thread: usize,
    over: Over,
    /// What its senders share with the thread, if it leads away from us.
    out: Option<(Arc<Lane>, Arc<Held>)>,
}

/// The client plane. Calls may be made from any thread and never wait.
pub struct Clients {
    ports: Vec<Arc<Port>>,
    stats: Vec<Arc<ClientStats>>,
    tunnels: RwLock<FxHashMap<TunnelId, Place>>,
    io: usize,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

/// A client plane whose threads do not run yet.
pub struct Bound {
    unstarted: Vec<UnstartedClientThread>,
    io: Vec<IoHandle>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Clients {
    /// Makes so many threads ready, whose cells go to these I/O threads.
    ///
    /// # Errors
    /// If the system gives no poll.
    pub fn bind(threads: usize, io: &[IoHandle]) -> io::Result<(Self, Bound)> {
        let unstarted = (0..threads.max(1)).map(UnstartedClientThread::new).collect::<io::Result<Vec<_>>>()?;
        let handles = Arc::default();
        let clients = Self {
            ports: unstarted.iter().map(|unstarted| Arc::clone(&unstarted.port)).collect(),
            stats: unstarted.iter().map(|unstarted| Arc::clone(&unstarted.stats)).collect(),
            tunnels: RwLock::default(),
            io: io.len(),
            threads: Arc::clone(&handles),
        };
        Ok((clients, Bound { unstarted, io: io.to_vec(), threads: handles }))
    }

    /// Gives an inbound tunnel with these layers, the gateway's first, to a thread. Its hop is to be installed afterwards.
    /// Garlic of a destination's sessions goes to it, all else to the control plane. None if the thread does not keep up.
    pub fn inbound(
        &self,
        thread: usize,
        tunnel: TunnelId,
        ciphers: Vec<LayerCipher>,
        destination: Option<DestinationId>,
    ) -> Option<HopKind> {
        let over = Over::default();
        let new = NewInbound { destination, tunnel, ciphers, over: Arc::clone(&over) };
        let to: Arc<dyn OwnPort> = self.open(thread, Input::Inbound(new))?;
        self.tunnels.write().insert(tunnel, Place { thread, over, out: None });
        Some(HopKind::InboundEndpoint { to })
    }

    /// Gives an outbound tunnel with these layers, the first hop's first, to a thread. Its hop is to be installed
    /// afterwards. None if the thread does not keep up.
    pub fn outbound(
        &self,
        thread: usize,
        tunnel: TunnelId,
        ciphers: Vec<LayerCipher>,
        next: NextHop,
    ) -> Option<HopKind> {
        let (lane, held, over) = (Lane::new(), Arc::<Held>::default(), Over::default());
        let out = Some((Arc::clone(&lane), Arc::clone(&held)));
        let place = Place { thread, over: Arc::clone(&over), out };
        let home = home(&next.router, self.io);
        let new = NewOutbound { tunnel, ciphers, lane: Arc::clone(&lane), held, home, over };
        let from: Arc<dyn OwnPort> = self.open(thread, Input::Outbound(new))?;
        self.tunnels.write().insert(tunnel, place);
        Some(HopKind::OutboundGateway { next, from, lane })
    }

    fn open(&self, thread: usize, input: Input) -> Option<Arc<Port>> {
        let port = self.ports.get(thread)?;
        port.inbox.push(input).ok().map(|()| Arc::clone(port))
    }

    /// The tunnel is over.
    pub fn close(&self, tunnel: TunnelId) {
        if let Some(place) = self.tunnels.write().remove(&tunnel) {
            place.over.store(true, Relaxed);
            // A thread that has no room for this finds out within a second.
            let _: Result<(), Input> = self.ports[place.thread].inbox.push(Input::Close(tunnel));
        }
    }

    /// Sends a message through an outbound tunnel.
    pub fn send(&self, tunnel: TunnelId, delivery: Delivery, message: Message) -> Sent {
        let tunnels = self.tunnels.read();
        let Some(Place { thread, out: Some((lane, held)), .. }) = tunnels.get(&tunnel) else { return Sent::Gone };
        let (len, idle) = (message.body.len(), held.is_empty());
        let taken = held.take(len, QUEUE_MESSAGES, QUEUE_BYTES);
        if taken && self.ports[*thread].inbox.push(Input::Send(tunnel, delivery, message)).is_ok() {
            let now = idle && lane.credit() * 1024 > len as u64;
            return if now { Sent::Now } else { Sent::Queued };
        }
        if taken {
            held.give(1, len);
        }
        self.stats[*thread].refuse();
        Sent::Full
    }

    /// The thread on which a destination lives, and all its tunnels.
    pub fn thread_of(&self, destination: DestinationId) -> usize {
        destination.0 as usize % self.ports.len().max(1)
    }

    fn port_of(&self, destination: DestinationId) -> Option<&Arc<Port>> {
        self.ports.get(self.thread_of(destination))
    }

    /// A destination begins. False if its thread does not keep up.
    pub fn open_destination(&self, new: NewDestination) -> bool {
        let port = self.port_of(new.id).cloned();
        port.is_some_and(|port| port.inbox.push(Input::Destination(Box::new(new))).is_ok())
    }

    /// A destination is over.
    pub fn close_destination(&self, id: DestinationId) -> bool {
        self.tell(id, Told::Close)
    }

    /// Tells a destination's core something. False if its thread does not keep up: it may be told again later.
    pub fn tell_destination(&self, id: DestinationId, input: In) -> bool {
        self.tell(id, Told::Input(input))
    }

    fn tell(&self, id: DestinationId, told: Told) -> bool {
        self.port_of(id).is_some_and(|port| port.inbox.push(Input::Tell(id, told)).is_ok())
    }

    /// Begins a stream from a destination of ours to another. What may go wrong the stream tells when it is read or written. None if the
    /// thread does not keep up.
    pub fn connect(&self, id: DestinationId, remote: DestinationHash, ports: Ports) -> Option<Stream> {
        let pipe = Pipe::new(id, remote, Arc::clone(self.port_of(id)?));
        self.tell(id, Told::Connect(Arc::clone(&pipe), remote, ports)).then(|| Stream::new(pipe))
    }

    /// Sends a datagram of a destination of ours. It may be lost on the way, as any. False if the thread does not keep up.
    pub fn send_datagram(&self, id: DestinationId, datagram: Datagram) -> bool {
        self.tell(id, Told::Datagram(datagram))
    }

    /// Asks as a destination of ours whether another is there. The channel closes without a word if it is not asked; how long to wait is
    /// the caller's to say.
    pub fn ping(&self, id: DestinationId, remote: DestinationHash) -> oneshot::Receiver<()> {
        let (reply, answered) = oneshot::channel();
        self.tell(id, Told::Ping(remote, reply));
        answered
    }

    /// What stands at a destination of ours. `None` if it is over, or its thread does not keep up.
    pub async fn describe(&self, id: DestinationId) -> Option<Description> {
        let (reply, description) = oneshot::channel();
        self.tell(id, Told::Describe(reply)).then_some(())?;
        description.await.ok()
    }

    /// Sends a payload of a destination of ours as it is. False if the thread does not keep up: it may be tried again.
    pub fn send_raw(&self, id: DestinationId, raw: Raw) -> bool {
        self.tell(id, Told::Raw(raw))
    }

    /// The counters of each thread.
    pub fn stats(&self) -> &[Arc<ClientStats>] {
        &self.stats
    }

    /// Ends all threads and waits for them.
    pub fn stop(&self) {
        self.end();
        for thread in self.threads.lock().drain(..) {
            // A thread that panicked has nothing to say any more.
            let _ = thread.join();
        }
    }

    fn end(&self) {
        self.ports.iter().for_each(|port| port.stop());
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.end();
    }
}

impl Bound {
    /// Starts the threads, which speak to `sink` from now on.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn run(self, clock: &Clock, sink: &Arc<dyn EventSink>) -> io::Result<()> {
        for (index, unstarted) in self.unstarted.into_iter().enumerate() {
            let thread = unstarted.into_thread(&self.io, clock.clone(), Arc::clone(sink));
            spawn(&self.threads, format!("client-{index}"), sink, move || thread.run())?;
        }
        Ok(())
    }
}
