//! One command socket: lines, and their answers.

use super::tunnels::Started;
use super::{MAX_TUNNELS, Server};
use crate::door::peer;
use crate::guests::Place;
use crate::sam::endpoint::{Endpoint, Opener, Wish};
use crate::streams::ready;
use ramson_actors::destination::Options;
use ramson_protocol::b32::B32;
use ramson_protocol::base64;
use ramson_protocol::bob::{Answer, Command, GREETING, Tunnel, line};
use ramson_protocol::data::private_keys::PrivateKeys;
use ramson_protocol::id::DestinationHash;
use ramson_protocol::sam::Lines;
use ramson_protocol::streaming::streams::Ports;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A socket may be silent for so long: people type here.
const SILENCE: Duration = Duration::from_secs(3600);

/// A program takes an answer within this time.
const WRITE: Duration = Duration::from_secs(30);

/// Somebody who is called answers within this time. INTEROP: eight seconds in i2pd.
const PING: Duration = Duration::from_secs(8);

/// Serves a socket until it is closed.
pub(super) async fn serve<O: Opener>(server: Arc<Server<O>>, socket: TcpStream) {
    let Some(place) = server.guests.place(peer(&socket)) else { return };
    let mut connection = Connection { server, socket, tunnel: Tunnel::default(), place };
    if let Err(error) = connection.run().await {
        tracing::debug!(%error, "a BOB socket has ended early");
    }
}

struct Connection<O: Opener> {
    server: Arc<Server<O>>,
    socket: TcpStream,
    /// The tunnel that is spoken of.
    tunnel: Tunnel,
    place: Place,
}

impl<O: Opener> Connection<O> {
    async fn run(&mut self) -> io::Result<()> {
        self.say(GREETING).await?;
        let (mut lines, mut buffer) = (Lines::default(), [0; 2048]);
        let mut patience = self.server.guests.patience();
        loop {
            while let Some(text) = lines.next_line().map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))? {
                // A web page can have a browser post to any local port: no line of it is read. INTEROP: others read on.
                if text.split_whitespace().next_back().is_some_and(|word| word.starts_with("HTTP/")) {
                    return Ok(());
                }
                self.place.spoke();
                patience = SILENCE;
                if !self.on_line(&text).await? {
                    return Ok(());
                }
            }
            match timeout(patience, self.socket.read(&mut buffer)).await {
                Ok(Ok(len @ 1..)) => lines.feed(&buffer[..len]),
                Ok(Ok(0)) | Err(_) => return Ok(()),
                Ok(Err(error)) => return Err(error),
            }
        }
    }

    /// False if that was the last.
    async fn on_line(&mut self, text: &str) -> io::Result<bool> {
        let Some(command) = Command::parse(text) else {
            self.answer(&Err("unknown command".to_owned())).await?;
            return Ok(true);
        };
        let is_active = self.is_running(&self.tunnel.nickname) == Some(true);
        let fresh = || PrivateKeys::generate(rand::random(), &rand::random());
        if let Some(answer) = self.tunnel.tell(&command, is_active, fresh) {
            self.answer(&answer).await?;
            return Ok(true);
        }
        let answer = match command {
            Command::Zap => return Ok(false),
            Command::Quit => {
                self.answer(&Ok("Bye!".to_owned())).await?;
                return Ok(false);
            }
            Command::SetNick(name) if self.is_running(name).is_some() => Err("tunnel is active".to_owned()),
            Command::SetNick(name) => self.tunnel.name(name),
            Command::GetNick(name) => self.get_nick(name),
            Command::Start => self.start().await,
            Command::Stop => self.stop(),
            Command::Clear => self.clear(),
            Command::List => {
                let listed = self.list();
                self.say(&listed).await?;
                Ok("Listing done".to_owned())
            }
            Command::Status(name) => self.status(name),
            Command::Show => self.status(&self.tunnel.nickname),
            Command::Lookup(name) => self.look_up(name).await,
            Command::LookupLocal(name) => self.look_up_local(name),
            Command::Ping(name) => self.ping(name).await,
            // All others the tunnel has done.
            _ => Err("unknown command".to_owned()),
        };
        self.answer(&answer).await?;
        Ok(true)
    }

    async fn say(&mut self, text: &str) -> io::Result<()> {
        timeout(WRITE, self.socket.write_all(text.as_bytes()))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    async fn answer(&mut self, answer: &Answer) -> io::Result<()> {
        self.say(&line(answer)).await
    }

    /// Whether a tunnel runs. `None` if it was never started.
    fn is_running(&self, name: &str) -> Option<bool> {
        self.server.started.lock().get(name).map(Started::is_running)
    }

    fn get_nick(&mut self, name: &str) -> Answer {
        if let Some(started) = self.server.started.lock().get(name) {
            self.tunnel = started.tunnel.clone();
        }
        if name.is_empty() || self.tunnel.nickname != name {
            return Err("no nickname has been set".to_owned());
        }
        Ok(format!("Nickname set to {name}"))
    }

    async fn start(&mut self) -> Answer {
        let name = self.tunnel.nickname.clone();
        if self.is_running(&name) == Some(true) {
            return Err("tunnel is active".to_owned());
        }
        let plan = self.tunnel.plan(self.server.tunnels)?;
        let stood = self.server.started.lock().get(&name).map(|started| Arc::clone(&started.endpoint));
        let endpoint = match stood {
            Some(endpoint) => endpoint,
            None if self.server.started.lock().len() >= MAX_TUNNELS => {
                return Err("there are too many tunnels: clear some".to_owned());
            }
            None => {
                let (inbound, outbound) = (plan.inbound, plan.outbound);
                let (keys, options) = (plan.keys.clone(), Options::default());
                let wish = Wish { keys, inbound, outbound, published: true, datagrams: false, options };
                let opened = self.server.opener.open(wish).await;
                Arc::new(opened.ok_or("the router takes no more destinations now")?)
            }
        };
        let started = Started::new(self.tunnel.clone(), endpoint, &plan, &self.server.names).await?;
        // Two sockets may have started the same name at once: the other one ends.
        self.server.started.lock().insert(name, started);
        Ok("Tunnel starting".to_owned())
    }

    fn stop(&self) -> Answer {
        match self.server.started.lock().get_mut(&self.tunnel.nickname) {
            Some(started) if started.is_running() => {
                started.stop();
                Ok("Tunnel stopping".to_owned())
            }
            _ => Err("tunnel is inactive".to_owned()),
        }
    }

    /// INTEROP: i2pd forgets it, whether it runs or not.
    fn clear(&mut self) -> Answer {
        let ended = self.server.started.lock().remove(&self.tunnel.nickname);
        drop(ended);
        self.tunnel.nickname.clear();
        Ok("cleared".to_owned())
    }

    fn list(&self) -> String {
        let started = self.server.started.lock();
        let own = Some(&self.tunnel).filter(|own| !own.nickname.is_empty() && !started.contains_key(&own.nickname));
        let own = own.map(|own| own.status(None));
        started.values().map(Started::status).chain(own).map(|line| line + "\n").collect()
    }

    fn status(&self, name: &str) -> Answer {
        if let Some(started) = self.server.started.lock().get(name) {
            return Ok(started.status());
        }
        if name.is_empty() || self.tunnel.nickname != name {
            return Err("no nickname has been set".to_owned());
        }
        Ok(self.tunnel.status(None))
    }

    fn hash(&self, name: &str) -> Result<DestinationHash, String> {
        if name.is_empty() {
            return Err("empty lookup address".to_owned());
        }
        super::tunnels::hash(&self.server.names, name).map_err(|_| "Address Not found".to_owned())
    }

    async fn look_up(&self, name: &str) -> Answer {
        if let Ok(known) = self.look_up_local(name) {
            return Ok(known);
        }
        let hash = self.hash(name)?;
        let endpoint = self.endpoint().await.ok_or("No local destination")?;
        let found = endpoint.find(B32::Hash(hash)).await.ok();
        let found = found.and_then(|found| found.destination()).ok_or("LeaseSet Not found")?;
        Ok(base64::encode(found.as_bytes()))
    }

    /// Whose a name is by the address book, or by itself.
    fn look_up_local(&self, name: &str) -> Answer {
        self.hash(name)?;
        let known = super::tunnels::known(&self.server.names, name).ok_or("Local LeaseSet Not found")?;
        Ok(base64::encode(known.as_bytes()))
    }

    /// Begins a stream and closes it. INTEROP: i2pd sends an echo of the streaming library's.
    async fn ping(&self, name: &str) -> Answer {
        if name.is_empty() {
            return Err("empty ping address".to_owned());
        }
        let hash = self.hash(name)?;
        let endpoint = self.endpoint().await.ok_or("No local destination")?;
        let begun = Instant::now();
        let stream = endpoint.connect(hash, Ports::default()).ok_or("No streaming destination")?;
        match timeout(PING, O::Endpoint::connected(&stream)).await {
            Ok(Ok(())) => Ok(format!("pong from {}: time={} ms", hash.to_b32(), begun.elapsed().as_millis())),
            Ok(Err(_)) => Err("LeaseSet Not found".to_owned()),
            Err(_) => Err("timeout".to_owned()),
        }
    }

    /// The tunnel's destination if it runs, or else nobody in particular.
    async fn endpoint(&self) -> Option<Arc<O::Endpoint>> {
        let started = self.server.started.lock().get(&self.tunnel.nickname).map(|one| Arc::clone(&one.endpoint));
        let open = async || self.server.opener.open(Wish::nobody(self.server.tunnels)).await.map(Arc::new).ok_or(());
        let endpoint = match started {
            Some(endpoint) => endpoint,
            None => Arc::clone(self.server.seeker.get_or_try_init(open).await.ok()?),
        };
        ready(|| endpoint.is_ready()).await?;
        Some(endpoint)
    }
}
