//! BOB: what a program says in lines to have tunnels between its sockets and destinations.
//!
//! ```text
//! program  setnick NAME | newkeys | inhost, inport, outhost, outport | option KEY=VALUE | start | stop | clear | quit
//! router   OK [words] | ERROR words
//! ```
//! A tunnel has a socket that it listens on, where the first line of a program names whom it wants (`inhost`, `inport`), or one that it
//! calls with each stream of others (`outhost`, `outport`), or both. INTEROP: words and order of checks are i2pd's, where it has some;
//! Java's `show`, `verify` and `visit` are there beside.
//!
//! spec: legacy/bob

use crate::base64;
use crate::data::keys_and_cert::Destination;
use crate::data::private_keys::PrivateKeys;
use crate::pool::Wanted;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// What is said first.
pub const GREETING: &str = "BOB 00.00.10\nOK\n";

/// Options of one tunnel.
const MAX_OPTIONS: usize = 64;

/// The longest nickname.
const MAX_NICKNAME: usize = 128;

/// What a program wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Forget the tunnel of this name.
    Clear,
    /// Tell the destination.
    GetDest,
    /// Tell the keys.
    GetKeys,
    /// Take up a tunnel that was started.
    GetNick(&'a str),
    /// What commands are there, or what does one do?
    Help(&'a str),
    /// Where it listens.
    InHost(&'a str),
    /// And by which port.
    InPort(&'a str),
    /// Tell all tunnels.
    List,
    /// Whose is a name?
    Lookup(&'a str),
    /// The same without asking anybody.
    LookupLocal(&'a str),
    /// Make keys.
    NewKeys(&'a str),
    /// An option of the session.
    Option(&'a str),
    /// Where it calls.
    OutHost(&'a str),
    /// And by which port.
    OutPort(&'a str),
    /// Does somebody answer?
    Ping(&'a str),
    /// Streams begin without a line that names their caller.
    Quiet(&'a str),
    /// End this connection.
    Quit,
    /// Take these keys.
    SetKeys(&'a str),
    /// Begin a tunnel of this name.
    SetNick(&'a str),
    /// It is a proxy.
    SetTunnelType(&'a str),
    /// Tell this tunnel.
    Show,
    /// Tell its options.
    ShowProps,
    /// Have it run.
    Start,
    /// Tell a tunnel.
    Status(&'a str),
    /// Have it not run.
    Stop,
    /// Is this a destination?
    Verify(&'a str),
    /// Nothing at all.
    Visit,
    /// End this connection without a word.
    Zap,
}

/// Commands with what `help` says of them. INTEROP: i2pd's words.
const HELP: &[(&str, &str)] = &[
    ("clear", "clear - Clear the current nickname out of the list."),
    ("getdest", "getdest - Return the destination for the current nickname."),
    ("getkeys", "getkeys - Return the keypair for the current nickname."),
    ("getnick", "getnick <TUNNELNAME> - Sets the nickname from the database."),
    ("help", "help <COMMAND> - Get help on a command."),
    ("inhost", "inhost <HOSTNAME|IP> - Set the inbound hostname or IP."),
    ("inport", "inport <PORT_NUMBER> - Set the inbound port number nickname listens on."),
    ("list", "list - List all tunnels."),
    ("lookup", "lookup <I2P_HOSTNAME> - Look up an I2P hostname."),
    ("lookuplocal", "lookuplocal <I2P_HOSTNAME> - Look up an I2P hostname without asking the network."),
    ("newkeys", "newkeys - Generate a new keypair for the current nickname."),
    ("option", "option <KEY>=<VALUE> - Set an option. NOTE: Don't use any spaces."),
    ("outhost", "outhost <HOSTNAME|IP> - Set the outhound hostname or IP."),
    ("outport", "outport <PORT_NUMBER> - Set the outbound port that nickname contacts."),
    ("ping", "ping <I2P_HOSTNAME> - Call a destination and tell how long its answer took."),
    ("quiet", "quiet <True|False> - Whether to send the incoming destination."),
    ("quit", "quit - Quits this session with BOB."),
    ("setkeys", "setkeys <BASE64_KEYPAIR> - Sets the keypair for the current nickname."),
    ("setnick", "setnick <NICKNAME> - Creates a new nickname."),
    ("settunneltype", "settunneltype <socks|httpproxy> - Sets socks or http proxy tunnel type."),
    ("show", "show - Display status of the current nickname."),
    ("showprops", "showprops - Display the options of the current nickname."),
    ("start", "start - Starts the current nicknamed tunnel."),
    ("status", "status <NICKNAME> - Display status of a nicknamed tunnel."),
    ("stop", "stop - Stops the current nicknamed tunnel."),
    ("verify", "verify <BASE64_KEY> - Verifies a destination."),
    ("visit", "visit - Does nothing."),
    ("zap", "zap - Shuts down BOB."),
];

impl<'a> Command<'a> {
    /// Reads a line. `None` if nobody knows such a command. What follows the operand is not read, as in i2pd.
    pub fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let (command, operand) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        Some(match command {
            "clear" => Self::Clear,
            "getdest" => Self::GetDest,
            "getkeys" => Self::GetKeys,
            "getnick" => Self::GetNick(operand),
            "help" => Self::Help(operand),
            "inhost" => Self::InHost(operand),
            "inport" => Self::InPort(operand),
            "list" => Self::List,
            "lookup" => Self::Lookup(operand),
            "lookuplocal" => Self::LookupLocal(operand),
            "newkeys" => Self::NewKeys(operand),
            "option" => Self::Option(operand),
            "outhost" => Self::OutHost(operand),
            "outport" => Self::OutPort(operand),
            "ping" => Self::Ping(operand),
            "quiet" => Self::Quiet(operand),
            "quit" => Self::Quit,
            "setkeys" => Self::SetKeys(operand),
            "setnick" => Self::SetNick(operand),
            "settunneltype" => Self::SetTunnelType(operand),
            "show" => Self::Show,
            "showprops" => Self::ShowProps,
            "start" => Self::Start,
            "status" => Self::Status(operand),
            "stop" => Self::Stop,
            "verify" => Self::Verify(operand),
            "visit" => Self::Visit,
            "zap" => Self::Zap,
            _ => return None,
        })
    }
}

/// The words of an answer: behind `OK`, or behind `ERROR`.
pub type Answer = Result<String, String>;

/// The line of an answer.
pub fn line(answer: &Answer) -> String {
    match answer {
        Ok(words) if words.is_empty() => "OK\n".to_owned(),
        Ok(words) => format!("OK {words}\n"),
        Err(words) => format!("ERROR {words}\n"),
    }
}

/// What a tunnel does that does not pass on bytes as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxy {
    /// It is a SOCKS proxy.
    Socks,
    /// It is an HTTP proxy.
    Http,
}

/// A tunnel as it was told.
#[derive(Clone, Debug, Default)]
pub struct Tunnel {
    /// Its name; empty without one.
    pub nickname: String,
    /// Who it is.
    pub keys: Option<PrivateKeys>,
    /// Where it listens.
    pub in_host: String,
    /// By which port; zero is none.
    pub in_port: u16,
    /// Where it calls.
    pub out_host: String,
    /// By which port; zero is none.
    pub out_port: u16,
    /// Streams begin without a line that names their caller.
    pub quiet: bool,
    /// Options of the session.
    pub options: BTreeMap<String, String>,
    /// It is a proxy.
    pub proxy: Option<Proxy>,
}

/// What a tunnel is to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Who it is.
    pub keys: PrivateKeys,
    /// Tunnels to it.
    pub inbound: Wanted,
    /// Tunnels away from it.
    pub outbound: Wanted,
    /// Where it listens.
    pub listen: Option<SocketAddr>,
    /// Where streams of others go.
    pub target: Option<SocketAddr>,
    /// Without a line that names their caller.
    pub quiet: bool,
    /// What listens is a proxy.
    pub proxy: Option<Proxy>,
}

impl Tunnel {
    /// Does what concerns this tunnel alone, unless it runs. `None` if the command needs more than that.
    pub fn tell(
        &mut self,
        command: &Command<'_>,
        is_active: bool,
        fresh: impl FnOnce() -> PrivateKeys,
    ) -> Option<Answer> {
        Some(match command {
            Command::Help(of) => help(of),
            Command::GetDest => self.keys().map(|keys| base64::encode(keys.destination.as_bytes())),
            Command::GetKeys => self.keys().map(|keys| base64::encode(&keys.to_bytes())),
            Command::NewKeys(kind) => self.new_keys(kind, fresh),
            Command::SetKeys(text) => self.set_keys(text),
            Command::InHost(host) => set_host(&mut self.in_host, host, "inhost"),
            Command::OutHost(host) => set_host(&mut self.out_host, host, "outhost"),
            Command::InPort(port) => set_port(&mut self.in_port, port, "inport", "inbound port set"),
            Command::OutPort(port) => set_port(&mut self.out_port, port, "outport", "outbound port set"),
            Command::Quiet(_) if self.nickname.is_empty() => Err("no nickname has been set".to_owned()),
            Command::Quiet(_) if is_active => Err("tunnel is active".to_owned()),
            Command::Quiet(word) => {
                self.quiet = !word.eq_ignore_ascii_case("false");
                Ok("Quiet set".to_owned())
            }
            Command::Option(text) => self.set_option(text),
            Command::SetTunnelType("socks") => {
                self.proxy = Some(Proxy::Socks);
                Ok("tunnel type set to SOCKS".to_owned())
            }
            Command::SetTunnelType("httpproxy") => {
                self.proxy = Some(Proxy::Http);
                Ok("tunnel type set to HTTP proxy".to_owned())
            }
            Command::SetTunnelType(_) => {
                self.proxy = None;
                Err("no tunnel type has been set".to_owned())
            }
            Command::ShowProps => {
                Ok(self.options.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" "))
            }
            Command::Verify(text) => match destination(text) {
                Some(_) => Ok(String::new()),
                None => Err("not in BASE64 format".to_owned()),
            },
            Command::Visit => Ok(String::new()),
            _ => return None,
        })
    }

    fn keys(&self) -> Result<&PrivateKeys, String> {
        self.keys.as_ref().ok_or_else(|| "keys are not set".to_owned())
    }

    fn new_keys(&mut self, kind: &str, fresh: impl FnOnce() -> PrivateKeys) -> Answer {
        if !matches!(kind, "" | "7") {
            return Err("only signature type 7 is made here".to_owned());
        }
        let keys = self.keys.insert(fresh());
        Ok(base64::encode(keys.destination.as_bytes()))
    }

    fn set_keys(&mut self, text: &str) -> Answer {
        let keys = decode(text).and_then(|bytes| PrivateKeys::parse(&bytes).ok()).ok_or("invalid keys")?;
        let public = base64::encode(keys.destination.as_bytes());
        self.keys = Some(keys);
        Ok(public)
    }

    fn set_option(&mut self, text: &str) -> Answer {
        let (key, value) = text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or("malformed")?;
        if self.options.len() >= MAX_OPTIONS && !self.options.contains_key(key) {
            return Err("too many options".to_owned());
        }
        self.options.insert(key.to_owned(), value.to_owned());
        Ok(format!("option {key} set to {value}"))
    }

    /// Takes a name that no tunnel has.
    ///
    /// # Errors
    /// If it can be no name.
    pub fn name(&mut self, nickname: &str) -> Answer {
        if nickname.is_empty() {
            return Err("no nickname has been set".to_owned());
        }
        if nickname.len() > MAX_NICKNAME {
            return Err("the nickname is too long".to_owned());
        }
        nickname.clone_into(&mut self.nickname);
        Ok(format!("Nickname set to {nickname}"))
    }

    /// What it is to do. What it does not say of tunnels is as in `tunnels`.
    ///
    /// # Errors
    /// What is missing. INTEROP: in i2pd's order.
    pub fn plan(&self, tunnels: Wanted) -> Result<Plan, String> {
        let keys = self.keys.clone().ok_or("Keys must be set.")?;
        if self.in_port == 0 && self.out_host.is_empty() && self.out_port == 0 {
            return Err("(inhost):inport or outhost:outport must be set.".to_owned());
        }
        let in_host = ip(&self.in_host).ok_or("inhost must be a valid IPv4 address.")?;
        let out_host = ip(&self.out_host).ok_or("outhost must be a IPv4 address.")?;
        if self.nickname.is_empty() {
            return Err("no nickname has been set".to_owned());
        }
        let number = |name: &str| self.options.get(name)?.parse().ok();
        let calls = self.out_port != 0 && !self.out_host.is_empty() && self.proxy.is_none();
        Ok(Plan {
            keys,
            inbound: Wanted::asked("inbound", tunnels, number),
            outbound: Wanted::asked("outbound", tunnels, number),
            listen: (self.in_port != 0).then_some(SocketAddr::new(in_host, self.in_port)),
            target: calls.then_some(SocketAddr::new(out_host, self.out_port)),
            quiet: self.quiet,
            proxy: self.proxy,
        })
    }

    /// The line that tells it. `is_running`: `None` if it was never started.
    pub fn status(&self, is_running: Option<bool>) -> String {
        let text = |text: &str| if text.is_empty() { "not_set".to_owned() } else { text.to_owned() };
        let number = |port: u16| if port == 0 { "not_set".to_owned() } else { port.to_string() };
        let running = is_running == Some(true);
        let (proxy, proxies) = match self.proxy.filter(|_| running) {
            None => ("NONE", false),
            Some(Proxy::Socks) => ("SOCKS", true),
            Some(Proxy::Http) => ("HTTPPROXY", true),
        };
        let mut line = format!("DATA NICKNAME: {} STARTING: {} ", self.nickname, is_running == Some(false));
        // A string takes every write.
        let _ = write!(
            line,
            "RUNNING: {running} STOPPING: false KEYS: {} QUIET: {} INPORT: {} INHOST: {} OUTPORT: {} OUTHOST: {} \
             PROXYTYPE: {proxy} PROXYSTART: {proxies}",
            is_running.is_some(),
            self.quiet,
            number(self.in_port),
            text(&self.in_host),
            number(self.out_port),
            text(&self.out_host),
        );
        line
    }
}

fn help(of: &str) -> Answer {
    if of.is_empty() {
        let names: Vec<&str> = HELP.iter().map(|(name, _)| *name).collect();
        return Ok(format!("COMMANDS: {}", names.join(" ")));
    }
    let found = HELP.iter().find(|(name, _)| *name == of);
    found.map(|(_, words)| (*words).to_owned()).ok_or_else(|| "No such command".to_owned())
}

fn set_host(to: &mut String, host: &str, name: &str) -> Answer {
    if host.is_empty() {
        return Err(format!("empty {name}"));
    }
    host.clone_into(to);
    Ok(format!("{name} set"))
}

fn set_port(to: &mut u16, port: &str, name: &str, words: &str) -> Answer {
    if port.is_empty() {
        return Err(format!("empty {name}"));
    }
    *to = port.parse().map_err(|_| "port out of range")?;
    Ok(words.to_owned())
}

/// An address, or `localhost`, which is meant without any: names are asked of nobody.
fn ip(host: &str) -> Option<IpAddr> {
    match host {
        "" | "localhost" => Some(Ipv4Addr::LOCALHOST.into()),
        host => host.parse().ok(),
    }
}

/// Reads base 64 with or without padding.
fn decode(text: &str) -> Option<Vec<u8>> {
    crate::sam::session::decode(text)
}

/// A destination in base 64.
pub fn destination(text: &str) -> Option<Destination> {
    Destination::from_bytes(decode(text)?.into()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> PrivateKeys {
        PrivateKeys::generate([1; 32], &[2; 32])
    }

    fn tell(tunnel: &mut Tunnel, line: &str) -> String {
        let command = Command::parse(line).unwrap();
        super::line(&tunnel.tell(&command, false, keys).unwrap())
    }

    #[test]
    fn a_tunnel_is_told_what_it_is_and_says_what_it_understood() {
        let (mut tunnel, public) = (Tunnel::default(), base64::encode(keys().destination.as_bytes()));
        for (line, answer) in [
            ("getdest", "ERROR keys are not set"),
            ("getkeys", "ERROR keys are not set"),
            ("quiet", "ERROR no nickname has been set"),
            ("newkeys 1", "ERROR only signature type 7 is made here"),
            ("newkeys", &format!("OK {public}")),
            ("getdest", &format!("OK {public}")),
            ("setkeys AAAA", "ERROR invalid keys"),
            ("inhost", "ERROR empty inhost"),
            ("inhost 127.0.0.1", "OK inhost set"),
            ("inport 99999", "ERROR port out of range"),
            ("inport x", "ERROR port out of range"),
            ("inport 4000", "OK inbound port set"),
            ("outhost  localhost more", "OK outhost set"),
            ("outport 4001", "OK outbound port set"),
            ("option inbound.length=1", "OK option inbound.length set to 1"),
            ("option x", "ERROR malformed"),
            ("showprops", "OK inbound.length=1"),
            ("settunneltype irc", "ERROR no tunnel type has been set"),
            ("help zap", "OK zap - Shuts down BOB."),
            ("help nothing", "ERROR No such command"),
            ("verify AAAA", "ERROR not in BASE64 format"),
            (&format!("verify {public}"), "OK"),
        ] {
            assert_eq!(tell(&mut tunnel, line), format!("{answer}\n"), "{line}");
        }
        let secret = tell(&mut tunnel, "getkeys");
        let again = tell(&mut tunnel, &format!("setkeys {}", secret.trim_start_matches("OK ").trim()));
        assert_eq!(again, format!("OK {public}\n"));
        tunnel.name("ear").unwrap();
        assert_eq!(tell(&mut tunnel, "quiet"), "OK Quiet set\n");
        assert_eq!(tunnel.tell(&Command::Quiet(""), true, keys), Some(Err("tunnel is active".to_owned())));
        let plan = tunnel.plan(Wanted::new(3, 2)).unwrap();
        assert_eq!((plan.inbound.length, plan.outbound.length, plan.quiet), (1, 2, true));
        assert_eq!(plan.listen, Some("127.0.0.1:4000".parse().unwrap()));
        assert_eq!(plan.target, Some("127.0.0.1:4001".parse().unwrap()));
        assert_eq!(
            tunnel.status(Some(true)),
            "DATA NICKNAME: ear STARTING: false RUNNING: true STOPPING: false KEYS: true QUIET: true INPORT: 4000 \
             INHOST: 127.0.0.1 OUTPORT: 4001 OUTHOST: localhost PROXYTYPE: NONE PROXYSTART: false"
        );
    }

    #[test]
    fn what_is_missing_is_said_in_i2pds_order() {
        let mut tunnel = Tunnel::default();
        let mut missing = Vec::new();
        for line in ["", "newkeys", "inport 1", "inhost my.host", "inhost ::1", "outhost my.host", "outhost ::1"] {
            if let Some(command) = Command::parse(line) {
                tunnel.tell(&command, false, keys).unwrap().unwrap();
            }
            missing.push(tunnel.plan(Wanted::new(3, 3)).map(|_| ()).unwrap_err());
        }
        let nickname = "no nickname has been set";
        let host = "inhost must be a valid IPv4 address.";
        let ports = "(inhost):inport or outhost:outport must be set.";
        let out = "outhost must be a IPv4 address.";
        assert_eq!(missing, ["Keys must be set.", ports, nickname, host, nickname, out, nickname]);
        assert!(tunnel.name("").is_err() && tunnel.name(&"n".repeat(129)).is_err() && tunnel.name("n").is_ok());
        assert!(tunnel.plan(Wanted::new(3, 3)).is_ok());
    }

    #[test]
    fn options_of_one_tunnel_are_bounded() {
        let mut tunnel = Tunnel::default();
        let taken = (0..1000).filter(|n| tell(&mut tunnel, &format!("option k{n}=v")).starts_with("OK")).count();
        assert_eq!(taken, MAX_OPTIONS);
    }
}
