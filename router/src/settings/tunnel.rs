//! `[[tunnel]]`

use super::Endpoint;
use super::key::{Change, Life};
use super::proxies::{accounts, check_outproxies};
use super::section::section;
use crate::units::Span;
use ramson_actors::destination::{Options, hops};
use ramson_actors::pool::Wanted;
use ramson_apps::http_server::Posts;
use ramson_apps::services::filter::FilterFile;
use ramson_apps::services::limits::{Limits, PerTime};
use ramson_apps::services::{Access, Guard};
use ramson_apps::tunnel::Remote;
use ramson_crypto::kem::Kem;
use ramson_crypto::x25519::PublicKey;
use ramson_protocol::base64;
use ramson_protocol::blinding::{ClientKey, Readers};
use ramson_protocol::idle;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

/// Hops that a tunnel can have beside us. spec: tunnel-creation-ecies §Build Request Records
pub(crate) const HOPS: RangeInclusive<usize> = 1..=7;

/// How far the length of a tunnel may differ.
pub(crate) const VARIANCE: RangeInclusive<i8> = -6..=6;

/// Tunnels of a destination in each direction: a lease set has no room for more.
pub(crate) const TUNNELS: RangeInclusive<usize> = 1..=16;

/// For how long a destination is unused until it gives up tunnels, and somebody is sent away.
pub(crate) const IDLE: RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_secs(86_400);

/// Connections of a server at a time: so many files may be open.
const STREAMS: RangeInclusive<usize> = 1..=4096;

section! {
    /// A tunnel; written as often as there are tunnels. At SIGHUP those that came begin, those that went or changed end, and
    /// all others go on.
    Tunnel = "tunnel" {
        /// Its name, by which its keys are kept in `destinations` of the data folder: letters, digits, `-` and `_`.
        name: String = String::new() => Live;
        /// For programs of this machine: `client` reaches one destination, `irc-client` does with a filter, `socks`, `http-proxy`
        /// and `connect` (an HTTP proxy for CONNECT alone) reach all. For others: `server` leads to a program, `http-server` to a
        /// web server, `irc-server` to one of IRC, `site` shows a folder. Datagrams: `udp-client` and `udp-server` are as `client`
        /// and `server`; `streamr-server` sends what a program sends to `listen` to all who listen, `streamr-client` listens and
        /// sends it to `target`.
        r#type: String = String::new() => Live;
        /// Where programs of this machine connect.
        listen: Endpoint = Endpoint(None) => Live;
        /// Of `client`, `irc-client`, `udp-client` and `streamr-client`: whom it reaches, a name of the address book, a `.b32.i2p` name or a destination in base 64.
        destination: String = String::new() => Live;
        /// Of those: the port at that destination. Of a server: the port of its destination at which it is
        /// reached; what is for a port without a tunnel reaches the first of the destination's tunnels.
        port: u16 = 0 => Live;
        /// Of `site`: the folder that visitors see. What begins with a dot they do not, nor what links lead to outside of it.
        directory: String = String::new() => Live;
        /// Of `site`: show the folder's `index.html` for whatever is not there, for programs that run in the browser. Without it
        /// `404.html` is shown, if there is one.
        spa: bool = false => Live;
        /// Of a server and `streamr-client`: where the program listens.
        target: Endpoint = Endpoint(None) => Live;
        /// Of `server`, `http-server`, `irc-server` and `udp-server` whose target is at 127.0.0.1: calls come from another address of
        /// 127.0.0.0/8 for each caller, by which the program can tell them apart.
        unique_local: bool = true => Live;
        /// Of `server`, `http-server` and `irc-server`: the program speaks TLS. Its certificate is not verified: it is known by its address.
        tls: bool = false => Live;
        /// Of `udp-client`: the kind of datagrams that names us, 1 to 3. All know the first; the third costs the least, and i2pd and
        /// Java I2P read it since 2025.
        datagrams: u8 = 1 => Live;
        /// Of `socks`: names outside of I2P go to these outproxies; of `http-proxy` and `connect` as well. See `http_proxy.outproxies`.
        outproxies: Vec<String> = Vec::new() => Live;
        /// A key file of i2pd (`.dat`) or Java I2P (`eepPriv.dat`) to use instead of keys in the data folder, or `transient` for new
        /// keys at each start. Tunnels with the same file, or the same word that begins with `transient-`, share one
        /// destination, with the lengths and quantity of the first.
        keys: String = String::new() => Live;
        /// Of a server: the destinations that may come, as `.b32.i2p` names; without any, all may.
        allow: Vec<String> = Vec::new() => Live;
        /// Of a server: the destinations that may not.
        deny: Vec<String> = Vec::new() => Live;
        /// Of `http-proxy` and `connect`: see `http_proxy.auth`.
        auth: String = "none".to_owned() => Live;
        /// Of `http-proxy` and `connect`: see `http_proxy.accounts`.
        accounts: Vec<String> = Vec::new() => Live;
        /// Of a server: a file that says how often each may call and whose calls are written down, in the format of Java I2P's access
        /// filters.
        filter: String = String::new() => Live;
        /// Of a server: calls of one caller in a minute; 0 is as many as he likes.
        max_conns_per_minute: u32 = 0 => Live;
        /// Of a server: calls of one caller in an hour.
        max_conns_per_hour: u32 = 0 => Live;
        /// Of a server: calls of one caller in a day.
        max_conns_per_day: u32 = 0 => Live;
        /// Of a server: calls of all callers together in a minute.
        max_total_conns_per_minute: u32 = 0 => Live;
        /// Of a server: calls of all callers together in an hour.
        max_total_conns_per_hour: u32 = 0 => Live;
        /// Of a server: calls of all callers together in a day.
        max_total_conns_per_day: u32 = 0 => Live;
        /// Of a server: connections at a time; more wait.
        max_concurrent_streams: usize = 4096 => Live;
        /// Of `http-server`: what the program is told as `Host`; empty is as the visitor wrote it.
        host: String = String::new() => Live;
        /// Of `http-server` and `site`: send away those who come from outside through an inproxy.
        reject_inproxy: bool = false => Live;
        /// Of `http-server` and `site`: send away requests that say which page led to them.
        reject_referer: bool = false => Live;
        /// Of `http-server` and `site`: send away browsers whose `User-Agent` begins with one of these; `none` is one that does not say.
        reject_user_agents: Vec<String> = Vec::new() => Live;
        /// Of `http-server` and `site`: compress text for visitors whose router can read that.
        compress: bool = true => Live;
        /// Of `http-server` and `site`: requests of one visitor a minute; 0 is as many as he likes.
        requests_per_minute: u32 = 0 => Live;
        /// Of `http-server`: the same of requests that change something (all but GET, HEAD and OPTIONS).
        changes_per_minute: u32 = 0 => Live;
        /// Of `http-server`: such requests of one visitor within `post_check_time`; 0 is as many as he likes. Who sends more is sent away
        /// for `post_ban_time`. Java I2P has 6.
        max_posts: u32 = 0 => Live;
        /// Of `http-server`: such requests of all visitors together within `post_check_time`. When more come, those of all are sent away for
        /// `post_total_ban_time`. Java I2P has 20.
        max_total_posts: u32 = 0 => Live;
        /// The time in which they are counted.
        post_check_time: Span = Span(Posts::default().time) => Live;
        /// How long one visitor is sent away.
        post_ban_time: Span = Span(Posts::default().ban) => Live;
        /// How long all are.
        post_total_ban_time: Span = Span(Posts::default().ban_all) => Live;
        /// Of `irc-server`: the password of a WEBIRC block for the gateway `cgiirc`; without one the caller's name becomes the host in
        /// `USER`.
        webirc_password: String = String::new() => Live;
        /// Of a server: its LeaseSet is encrypted. Only who knows its long `.b32.i2p` name finds it, and no floodfill can tell that it
        /// exists.
        encrypted: bool = false => Live;
        /// Of an encrypted one: only programs of these keys may read it, X25519 public keys in base 64. `ramson client-key` makes
        /// them.
        readers: Vec<String> = Vec::new() => Live;
        /// The same with secrets in base 64 that reader and server share; `readers` or these, not both.
        reader_secrets: Vec<String> = Vec::new() => Live;
        /// Its own key, with which it reads LeaseSets that are for certain readers: the private key of an entry in `readers` there, or
        /// one of `reader_secrets`.
        reader_key: String = String::new() => Live;
        /// A word that all must know who look for an encrypted LeaseSet whose name says so (Java I2P's lookup password; i2pd has none).
        lookup_password: String = String::new() => Live;
        /// Beside X25519 its sessions are agreed on by ML-KEM with this parameter set, 512, 768 or 1024, with all who do the same: who
        /// has a quantum computer one day cannot read what he recorded. 0 is none.
        ml_kem: u16 = 768 => Live;
        /// Also take sessions by ElGamal, from programs of old that have nothing newer. Whom this destination calls itself is spoken to so
        /// without it.
        elgamal: bool = false => Live;
        /// Of `client`, `irc-client`, `socks`, `http-proxy` and `connect`: build no tunnels until a program comes. It counts if all
        /// tunnels with the same keys say so.
        delay_open: bool = false => Live;
        /// Have fewer tunnels while nobody uses the destination; all come back when somebody does.
        reduce_on_idle: bool = false => Live;
        /// How long it is to be unused for that.
        reduce_after: Span = Span(Duration::from_secs(20 * 60)) => Live;
        /// Tunnels in each direction that stay then.
        reduce_quantity: usize = 1 => Live;
        /// Of a tunnel for programs of this machine: have no tunnels at all while nobody uses the destination. The next one to come waits
        /// until new ones stand.
        close_on_idle: bool = false => Live;
        /// How long it is to be unused for that.
        close_after: Span = Span(Duration::from_secs(30 * 60)) => Live;
        /// Of a tunnel with `close_on_idle` and keys that are `transient`: whoever comes after that finds a destination with new keys, which
        /// nobody knows again. It is opened when it is first used, as with `delay_open`.
        new_keys_on_idle: bool = false => Live;
        /// Hops of each tunnel that leads here.
        inbound_length: usize = 3 => Live;
        /// Hops of each tunnel that leads away.
        outbound_length: usize = 3 => Live;
        /// How far the length of a tunnel may differ, at random: by up to so many hops more, or with a negative number more or fewer.
        length_variance: i8 = 0 => Live;
        /// Tunnels in each direction.
        quantity: usize = 3 => Live;
        /// Tunnels in each direction that are kept beside them, to take over when one fails.
        backup_quantity: usize = 0 => Live;
        /// The hops of its tunnels, hashes of routers in base 64, the nearest first: for tests, and for whoever knows them all. Whoever
        /// chooses always the same is known again. Without any they are chosen by the rules.
        explicit_peers: Vec<String> = Vec::new() => Live;
    }
}

/// The types of tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Client,
    IrcClient,
    Socks,
    HttpProxy,
    Connect,
    Server,
    HttpServer,
    IrcServer,
    Site,
    UdpClient,
    UdpServer,
    StreamrClient,
    StreamrServer,
}

impl Kind {
    /// All, by the words for them.
    const ALL: [(&str, Self); 13] = [
        ("client", Self::Client),
        ("irc-client", Self::IrcClient),
        ("socks", Self::Socks),
        ("http-proxy", Self::HttpProxy),
        ("connect", Self::Connect),
        ("server", Self::Server),
        ("http-server", Self::HttpServer),
        ("irc-server", Self::IrcServer),
        ("site", Self::Site),
        ("udp-client", Self::UdpClient),
        ("udp-server", Self::UdpServer),
        ("streamr-client", Self::StreamrClient),
        ("streamr-server", Self::StreamrServer),
    ];

    /// True if others begin its connections.
    pub(crate) fn is_server(self) -> bool {
        matches!(
            self,
            Self::Server | Self::HttpServer | Self::IrcServer | Self::Site | Self::UdpServer | Self::StreamrServer
        )
    }

    /// True if others begin streams to it.
    pub(crate) fn takes_streams(self) -> bool {
        matches!(self, Self::Server | Self::HttpServer | Self::IrcServer | Self::Site)
    }

    /// True if programs of this machine connect or send to it.
    fn listens(self) -> bool {
        !self.is_server() && self != Self::StreamrClient || self == Self::StreamrServer
    }

    /// True if it connects or sends to a program.
    fn has_target(self) -> bool {
        self.is_server() && !matches!(self, Self::Site | Self::StreamrServer) || self == Self::StreamrClient
    }

    /// True if it leads to one destination.
    pub(crate) fn has_destination(self) -> bool {
        matches!(self, Self::Client | Self::IrcClient | Self::UdpClient | Self::StreamrClient)
    }

    /// True if its destination can be opened when it is first used.
    pub(crate) fn can_wait(self) -> bool {
        matches!(self, Self::Client | Self::IrcClient | Self::Socks | Self::HttpProxy | Self::Connect)
    }

    /// True if it carries datagrams, or may.
    pub(crate) fn has_datagrams(self) -> bool {
        matches!(self, Self::Socks | Self::UdpClient | Self::UdpServer | Self::StreamrClient | Self::StreamrServer)
    }
}

impl Tunnel {
    /// Its type.
    ///
    /// # Errors
    /// If there is no such type: which there are.
    pub(crate) fn kind(&self) -> Result<Kind, String> {
        let found = Kind::ALL.into_iter().find(|(word, _)| *word == self.r#type);
        let words = || Kind::ALL.map(|(word, _)| format!("{word:?}")).join(", ");
        found.map(|(_, kind)| kind).ok_or_else(|| {
            format!("tunnel {}: type {:?} is not known; write one of {}", self.name, self.r#type, words())
        })
    }

    /// Who may come.
    ///
    /// # Errors
    /// If a name is none, or both lists are given.
    pub(crate) fn access(&self) -> Result<Access, String> {
        let hashes = |key: &str, list: &[String]| {
            let one = |text: &String| match Remote::parse(text)? {
                Remote::Hash(hash) => Ok(hash),
                Remote::Blinded(_) => {
                    Err(format!("{text}: write its name of 52 characters, as it calls itself when it comes"))
                }
                Remote::Name(name) => Err(format!("{name}: write its .b32.i2p name, which does not change")),
            };
            let all: Result<BTreeSet<_>, String> = list.iter().map(one).collect();
            all.map_err(|error| format!("tunnel {}: {key}: {error}", self.name))
        };
        match (hashes("allow", &self.allow)?, hashes("deny", &self.deny)?) {
            (allow, deny) if allow.is_empty() && deny.is_empty() => Ok(Access::All),
            (allow, deny) if deny.is_empty() => Ok(Access::Only(allow)),
            (allow, deny) if allow.is_empty() => Ok(Access::AllBut(deny)),
            _ => Err(format!("tunnel {}: write allow or deny, not both", self.name)),
        }
    }

    /// Its tunnels, inbound and outbound.
    pub(crate) fn wanted(&self) -> [Wanted; 2] {
        [self.inbound_length, self.outbound_length].map(|length| Wanted {
            count: self.quantity,
            length,
            variance: self.length_variance,
            backups: self.backup_quantity,
        })
    }

    /// What its destination is otherwise than others.
    ///
    /// # Errors
    /// If a key is none, or what excludes one another is given.
    pub(crate) fn options(&self) -> Result<Options, String> {
        let name = &self.name;
        let key = |what: &str, text: &String| -> Result<[u8; 32], String> {
            let bytes = base64::decode(text.trim()).and_then(|bytes| bytes.try_into().ok());
            bytes.ok_or_else(|| {
                format!("tunnel {name}: {what} {text:?} is not 32 bytes in base 64: `ramson client-key` makes such")
            })
        };
        let all = |what, list: &[String]| list.iter().map(|text| key(what, text)).collect::<Result<Vec<_>, _>>();
        let (public, secrets) = (all("readers", &self.readers)?, all("reader_secrets", &self.reader_secrets)?);
        let readers = match (public.is_empty(), secrets.is_empty()) {
            (true, true) => Readers::Everybody,
            (false, true) => Readers::Dh(public.into_iter().map(PublicKey).collect()),
            (true, false) => Readers::Psk(secrets),
            (false, false) => return Err(format!("tunnel {name}: write readers or reader_secrets, not both")),
        };
        if readers.need_keys() && !self.encrypted {
            return Err(format!("tunnel {name}: readers are for a LeaseSet that is encrypted: write encrypted = true"));
        }
        Ok(Options {
            hybrid: match self.ml_kem {
                0 => None,
                512 => Some(Kem::MlKem512),
                768 => Some(Kem::MlKem768),
                1024 => Some(Kem::MlKem1024),
                other => {
                    return Err(format!(
                        "tunnel {name}: ml_kem = {other} is no parameter set: write 512, 768, 1024 or 0"
                    ));
                }
            },
            elgamal: self.elgamal,
            encrypted: self.encrypted.then_some(readers),
            secret: self.lookup_password.clone(),
            client_key: match self.reader_key.as_str() {
                "" => None,
                _ => Some(ClientKey(key("reader_key", &self.reader_key)?)),
            },
            hops: hops(self.explicit_peers.iter().map(String::as_str)).ok_or_else(|| {
                format!(
                    "tunnel {name}: explicit_peers is up to 7 hashes of routers in base 64, as `ramson info` shows one"
                )
            })?,
            idle: idle::Config {
                reduce: self.reduce_on_idle.then_some((self.reduce_after.0, self.reduce_quantity)),
                close: self.close_on_idle.then_some(self.close_after.0),
            },
            ..Options::default()
        })
    }

    /// Who may come, and how often.
    ///
    /// # Errors
    /// Those of [`Self::access`]; if there is a filter that cannot be read.
    pub(crate) fn guard(&self) -> Result<Guard, String> {
        let failed = |error| format!("tunnel {}: filter {}: {error}", self.name, self.filter);
        let filter = (!self.filter.is_empty()).then(|| FilterFile::open(Path::new(&self.filter)).map_err(failed));
        let each = [self.max_conns_per_minute, self.max_conns_per_hour, self.max_conns_per_day];
        let all = [self.max_total_conns_per_minute, self.max_total_conns_per_hour, self.max_total_conns_per_day];
        Ok(Guard {
            access: self.access()?,
            filter: filter.transpose()?,
            limits: Limits { each: PerTime(each), all: PerTime(all) },
        })
    }

    /// How many requests that change something are taken.
    pub(crate) fn posts(&self) -> Posts {
        Posts {
            each: self.max_posts,
            all: self.max_total_posts,
            time: self.post_check_time.0,
            ban: self.post_ban_time.0,
            ban_all: self.post_total_ban_time.0,
        }
    }

    fn check(&self) -> Result<(), String> {
        let name = &self.name;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || !name.chars().all(plain) {
            return Err(format!("tunnel.name {name:?}: give each [[tunnel]] a name of letters, digits, - and _"));
        }
        let kind = self.kind()?;
        if self.close_on_idle && !kind.can_wait() {
            return Err(format!(
                "tunnel {name}: close_on_idle is for tunnels whose programs come from this machine: others would not find it"
            ));
        }
        if self.new_keys_on_idle && !(self.close_on_idle && self.keys.starts_with("transient")) {
            return Err(format!(
                "tunnel {name}: new_keys_on_idle needs close_on_idle = true and keys = \"transient\", or keys that begin so"
            ));
        }
        for (key, after) in [
            ("reduce_after", self.reduce_after),
            ("close_after", self.close_after),
            ("post_check_time", self.post_check_time),
            ("post_ban_time", self.post_ban_time),
            ("post_total_ban_time", self.post_total_ban_time),
        ] {
            if !IDLE.contains(&after.0) {
                return Err(format!("tunnel {name}: {key} = \"{after}\": write 10s to 1d; 20min is usual"));
            }
        }
        if !TUNNELS.contains(&self.reduce_quantity) {
            return Err(format!("tunnel {name}: reduce_quantity = {}: write 1 to 16", self.reduce_quantity));
        }
        if kind == Kind::Site && self.directory.is_empty() {
            return Err(format!("tunnel {name}: a tunnel of type site needs directory, such as \"/srv/site\""));
        }
        if kind.has_target() && self.target.0.is_none() {
            return Err(format!(
                "tunnel {name}: a tunnel of type {} needs target, such as \"127.0.0.1:80\"",
                self.r#type
            ));
        }
        if kind.listens() && self.listen.0.is_none() {
            return Err(format!(
                "tunnel {name}: a tunnel of type {} needs listen, such as \"127.0.0.1:8080\"",
                self.r#type
            ));
        }
        if kind.has_destination() {
            Remote::parse(&self.destination).map_err(|e| format!("tunnel {name}: destination {e}"))?;
        }
        if !(1..=3).contains(&self.datagrams) {
            return Err(format!("tunnel {name}: datagrams is 1, 2 or 3; all know 1"));
        }
        check_outproxies(&format!("tunnel {name}: outproxies"), &self.outproxies)?;
        accounts(&format!("tunnel {name}"), &self.auth, &self.accounts)?;
        self.access()?;
        self.options()?;
        if self.encrypted && !kind.is_server() {
            return Err(format!("tunnel {name}: only a server has a LeaseSet to encrypt: remove encrypted"));
        }
        if !STREAMS.contains(&self.max_concurrent_streams) {
            return Err(format!("tunnel {name}: max_concurrent_streams is 1 to 4096"));
        }
        if self.webirc_password.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(format!("tunnel {name}: webirc_password is one word"));
        }
        let lengths = [self.inbound_length, self.outbound_length];
        if lengths.iter().any(|length| !HOPS.contains(length)) {
            return Err(format!("tunnel {name}: inbound_length and outbound_length are 1 to 7; 3 is usual"));
        }
        if !TUNNELS.contains(&self.quantity) {
            return Err(format!("tunnel {name}: quantity is 1 to 16; 3 is usual"));
        }
        if self.quantity + self.backup_quantity > *TUNNELS.end() {
            return Err(format!(
                "tunnel {name}: quantity and backup_quantity are 16 together at most; 3 and 0 are usual"
            ));
        }
        if !VARIANCE.contains(&self.length_variance) {
            return Err(format!("tunnel {name}: length_variance is -6 to 6; 0 is usual"));
        }
        Ok(())
    }
}

/// # Errors
/// What cannot be, and what to write.
pub(crate) fn check(tunnels: &[Tunnel]) -> Result<(), String> {
    let mut names = BTreeSet::new();
    for tunnel in tunnels {
        tunnel.check()?;
        if !names.insert(&tunnel.name) {
            return Err(format!("tunnel.name {:?} is there twice: each [[tunnel]] has a name of its own", tunnel.name));
        }
    }
    Ok(())
}

/// The keys whose values differ; a tunnel that came or went is one change.
pub(super) fn changes(now: &[Tunnel], before: &[Tunnel]) -> Vec<Change> {
    let named = |tunnels: &[Tunnel]| tunnels.iter().map(|tunnel| tunnel.name.as_str()).collect::<Vec<_>>().join(", ");
    if named(now) != named(before) {
        let (now, before) = (named(now), named(before));
        return vec![Change { name: "tunnel".to_owned(), before, now, life: Life::Live }];
    }
    now.iter().zip(before).flat_map(|(now, before)| now.changes(before)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Settings;

    fn check(text: &str) -> Result<(), String> {
        Settings::parse(text).and_then(|settings| super::check(&settings.tunnel))
    }

    /// 32 bytes in base 64.
    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const SERVER: &str = "[[tunnel]]\nname = \"site\"\ntype = \"server\"\ntarget = \"127.0.0.1:80\"\n";
    const CLOSES: &str = "[[tunnel]]\nname = \"c\"\ntype = \"socks\"\nlisten = \"127.0.0.1:1\"\n\
                          close_on_idle = true\nnew_keys_on_idle = true\n";

    #[test]
    fn what_cannot_be_is_refused_with_what_to_write() {
        assert_eq!(check(SERVER), Ok(()));
        let wrong = [
            (format!("{SERVER}{SERVER}"), "twice"),
            (SERVER.replace("site", "a/b"), "letters, digits"),
            (SERVER.replace("server", "http"), "\"http-server\""),
            (SERVER.replace("target", "listen"), "needs target"),
            (format!("{SERVER}quantity = 17"), "1 to 16"),
            (format!("{SERVER}inbound_length = 0"), "1 to 7"),
            (
                "[[tunnel]]\nname = \"c\"\ntype = \"client\"\nlisten = \"127.0.0.1:1\"\ndestination = \"x\"".to_owned(),
                ".i2p",
            ),
            (format!("{SERVER}allow = [\"friend.i2p\"]"), "its .b32.i2p name"),
            (format!("{SERVER}webirc_password = \"a b\""), "one word"),
            (format!("{SERVER}encrypted = true\nreaders = [\"short\"]"), "client-key"),
            (CLOSES.to_owned(), "keys = \"transient\""),
            (format!("{SERVER}post_ban_time = \"1s\""), "post_ban_time"),
            (format!("{SERVER}ml_kem = 769"), "512, 768, 1024"),
            (format!("{SERVER}reader_secrets = [\"{KEY}\"]"), "encrypted = true"),
            (format!("{SERVER}encrypted = true\nreaders = [\"{KEY}\"]\nreader_secrets = [\"{KEY}\"]"), "not both"),
        ];
        for (text, words) in wrong {
            let error = check(&text).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn a_changed_tunnel_is_named() {
        let parse = |text: &str| Settings::parse(text).unwrap();
        let (one, more) = (parse(SERVER), parse(&format!("{SERVER}quantity = 4")));
        assert_eq!(
            more.changes(&one).iter().map(|change| change.name.as_str()).collect::<Vec<_>>(),
            ["tunnel.quantity"]
        );
        assert_eq!(parse("").changes(&one).len(), 1);
    }
}
