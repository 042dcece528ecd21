//! Lines of IRC as they pass a tunnel: what tells who somebody is, or would have a client call somebody, does not pass.
//!
//! ```text
//! client -> server   USER, PASS, NICK ..: known commands alone; USER loses host and server; QUIT and PART lose their words
//!                    PRIVMSG with CTCP: ACTION alone.  PING answered at once, by a PONG of our own
//! server -> client   known commands and numbers; PRIVMSG and NOTICE with CTCP: ACTION alone, so no DCC, VERSION, TIME
//! ```
//! At a server's tunnel the line `USER` gets the caller's destination as host, or a line WEBIRC stands before all others.
//!
//! INTEROP: which commands pass, and what becomes of them, is as in Java I2P; i2pd passes all to a server but `USER`.

use std::borrow::Cow;

/// The longest line, with its tags. spec: IRCv3 message tags, 8191 of them and 512 for the rest
pub const MAX_LINE: usize = 8703;

/// The byte around a message between clients (CTCP).
const CTCP: u8 = 1;

/// Commands of servers that pass.
const FROM_SERVER: &[&str] = &[
    "PING",
    "PONG",
    "MODE",
    "JOIN",
    "NICK",
    "QUIT",
    "PART",
    "WALLOPS",
    "ERROR",
    "KICK",
    "TOPIC",
    "AUTHENTICATE",
    "CAP",
    "PROTOCTL",
    "AWAY",
    "ACCOUNT",
    "CHGHOST",
    "INVITE",
    "BATCH",
    "FAIL",
    "WARN",
    "NOTE",
    "SETNAME",
    "TAGMSG",
];

/// Commands of clients that pass as they are.
const FROM_CLIENT: &[&str] = &[
    "ADMIN",
    "AUTHENTICATE",
    "AWAY",
    "CAP",
    "CHANSERV",
    "CONNECT",
    "CS",
    "DIE",
    "HELP",
    "HOSTSERV",
    "HS",
    "INFO",
    "INVITE",
    "ISON",
    "JOIN",
    "KICK",
    "KILL",
    "KLINE",
    "KNOCK",
    "LINKS",
    "LIST",
    "LUSERS",
    "MEMOSERV",
    "MODE",
    "MOTD",
    "MS",
    "NAMES",
    "NICK",
    "NICKSERV",
    "NS",
    "OPER",
    "OPERSERV",
    "OS",
    "PASS",
    "PONG",
    "PROTOCTL",
    "REHASH",
    "RESTART",
    "RULES",
    "SQUIT",
    "STATS",
    "TAGMSG",
    "TIME",
    "TOPIC",
    "TRACE",
    "UNKLINE",
    "USERHOST",
    "USERIP",
    "VERSION",
    "WALLOPS",
    "WATCH",
    "WEBIRC",
    "WHO",
    "WHOIS",
    "WHOWAS",
    "MONITOR",
    "SETNAME",
    "BATCH",
];

/// A line, taken apart.
struct Line<'a> {
    /// All before the command: tags and who speaks.
    head: &'a str,
    command: String,
    /// All after it, with the space in front.
    rest: &'a str,
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Self {
        let mut at = 0;
        for mark in ['@', ':'] {
            let rest = &line[at..];
            if rest.starts_with(mark) {
                let end = rest.find(' ').unwrap_or(rest.len());
                at += end + rest[end..].len() - rest[end..].trim_start_matches(' ').len();
            }
        }
        let (head, rest) = line.split_at(at);
        let (command, rest) = rest.split_at(rest.find(' ').unwrap_or(rest.len()));
        Self { head, command: command.to_ascii_uppercase(), rest }
    }

    /// True if it is no message between clients, or one that describes what somebody does.
    fn is_harmless(&self) -> bool {
        let marks = self.rest.bytes().filter(|byte| *byte == CTCP).count();
        let Some((_, text)) = self.rest.split_once(" :") else { return marks == 0 };
        let text = text.as_bytes();
        let action = text.starts_with(b"\x01ACTION ") && text.ends_with(&[CTCP]);
        marks == 0 || marks == 2 && action
    }
}

/// What is to be done with a line of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passed<'a> {
    /// It goes on, perhaps changed.
    On(Cow<'a, str>),
    /// It is answered with this, and does not go on.
    Back(String),
    /// It goes nowhere.
    Dropped,
}

/// A line of a client on its way to a server; without its end.
pub fn from_client(line: &str) -> Passed<'_> {
    let parsed = Line::parse(line);
    let (head, rest) = (parsed.head, parsed.rest);
    match parsed.command.as_str() {
        "PRIVMSG" | "NOTICE" if parsed.is_harmless() => Passed::On(line.into()),
        // The server is asked on the tunnel's own account; a clock in the argument would tell which client it is.
        "PING" => Passed::Back(format!("PONG{rest}")),
        "USER" => match rest.split_whitespace().next() {
            Some(user) => {
                let name = rest.split_once(" :").map_or("", |(_, name)| name);
                Passed::On(format!("USER {user} hostname localhost :{name}").into())
            }
            None => Passed::Dropped,
        },
        "QUIT" => Passed::On(format!("{head}QUIT :leaving").into()),
        "PART" => match rest.split_whitespace().next() {
            Some(channels) => Passed::On(format!("{head}PART {channels} :leaving").into()),
            None => Passed::Dropped,
        },
        command if FROM_CLIENT.contains(&command) && !rest.bytes().any(|byte| byte == CTCP) => Passed::On(line.into()),
        _ => Passed::Dropped,
    }
}

/// Whether a line of a server may reach a client; without its end.
pub fn from_server(line: &str) -> bool {
    let parsed = Line::parse(line);
    let command = parsed.command.as_str();
    let number = command.len() == 3 && command.bytes().all(|byte| byte.is_ascii_digit());
    let passes = number || FROM_SERVER.contains(&command) || matches!(command, "PRIVMSG" | "NOTICE");
    passes && parsed.is_harmless()
}

/// Who calls a server, in front of all that he says: `gateway` is the name by which the server knows us.
pub fn webirc(password: &str, gateway: &str, host: &str, ip: &str) -> String {
    format!("WEBIRC {password} {gateway} {host} {ip}")
}

/// A line of somebody on its way to our server, which is to see `host` as his; without its end. `None` for what only a
/// gateway may say.
pub fn to_own_server<'a>(line: &'a str, host: Option<&str>) -> Option<Cow<'a, str>> {
    let parsed = Line::parse(line);
    match (parsed.command.as_str(), host) {
        ("WEBIRC", _) => None,
        ("USER", Some(host)) => {
            let mut words = parsed.rest.split_whitespace();
            let user = words.next()?;
            let name = parsed.rest.split_once(" :").map_or("", |(_, name)| name);
            let server = words.nth(1).filter(|word| !word.starts_with(':')).unwrap_or("*");
            Some(format!("USER {user} {host} {server} :{name}").into())
        }
        _ => Some(line.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn on(line: &str) -> Passed<'_> {
        Passed::On(line.into())
    }

    #[test]
    fn a_client_says_nothing_of_its_machine() {
        for (line, passed) in [
            ("NICK me", on("NICK me")),
            ("user me myhost irc.example.i2p :My Name", on("USER me hostname localhost :My Name")),
            ("USER me 0 *", on("USER me hostname localhost :")),
            ("USER", Passed::Dropped),
            ("PING 1790000000123", Passed::Back("PONG 1790000000123".to_owned())),
            ("QUIT :MyClient 1.2.3 on MyMachine", on("QUIT :leaving")),
            ("PART #a,#b :MyClient 1.2.3", on("PART #a,#b :leaving")),
            ("PRIVMSG #a :hello", on("PRIVMSG #a :hello")),
            ("PRIVMSG #a :\u{1}ACTION waves\u{1}", on("PRIVMSG #a :\u{1}ACTION waves\u{1}")),
            ("PRIVMSG you :\u{1}DCC SEND f 3232235777 5000 1\u{1}", Passed::Dropped),
            ("NOTICE you :\u{1}VERSION MyClient\u{1}", Passed::Dropped),
            ("privmsg you \u{1}DCC", Passed::Dropped),
            ("SECRET x", Passed::Dropped),
            ("@time=2026 PRIVMSG #a :hello", on("@time=2026 PRIVMSG #a :hello")),
            ("", Passed::Dropped),
            ("TOPIC #a :\u{1}DCC\u{1}", Passed::Dropped),
        ] {
            assert_eq!(from_client(line), passed, "{line:?}");
        }
    }

    #[test]
    fn no_client_is_made_to_answer_or_to_call_somebody() {
        for line in [
            ":irc.example.i2p 001 me :Welcome",
            "PING :irc.example.i2p",
            ":a!b@c PRIVMSG #a :hello",
            ":a!b@c PRIVMSG me :\u{1}ACTION waves\u{1}",
            "@time=2026 :a!b@c JOIN #a",
        ] {
            assert!(from_server(line), "{line:?}");
        }
        for line in [
            ":a!b@c PRIVMSG me :\u{1}DCC CHAT chat 3232235777 5000\u{1}",
            ":a!b@c PRIVMSG me :\u{1}VERSION\u{1}",
            ":a!b@c NOTICE me :\u{1}TIME\u{1}",
            ":a!b@c PRIVMSG me :\u{1}ACTION x\u{1}\u{1}DCC\u{1}",
            ":a!b@c PRIVMSG me \u{1}DCC",
            ":a!b@c TOPIC #a :\u{1}DCC\u{1}",
            ":a!b@c MYSTERY me",
            ":lone",
            "",
        ] {
            assert!(!from_server(line), "{line:?}");
        }
    }

    #[test]
    fn a_server_sees_the_caller_s_destination_and_nobody_speaks_as_the_gateway() {
        let host = Some("abc.b32.i2p");
        assert_eq!(to_own_server("USER me hostname localhost :Me", host).unwrap(), "USER me abc.b32.i2p localhost :Me");
        assert_eq!(to_own_server("USER me", host).unwrap(), "USER me abc.b32.i2p * :");
        assert_eq!(to_own_server("USER me 0 * :Me", None).unwrap(), "USER me 0 * :Me");
        assert_eq!(to_own_server("WEBIRC guess cgiirc friend 127.0.0.1", host), None);
        assert_eq!(to_own_server("webirc guess cgiirc friend 127.0.0.1", None), None);
        assert_eq!(to_own_server("JOIN #a", host).unwrap(), "JOIN #a");
        assert_eq!(
            webirc("secret", "cgiirc", "abc.b32.i2p", "127.0.0.1"),
            "WEBIRC secret cgiirc abc.b32.i2p 127.0.0.1"
        );
    }

    proptest! {
        #[test]
        fn whatever_passes_has_no_message_between_clients_but_an_action(line in "(:a!b@c |@t=1 )?[A-Z]{0,8} [a-z#]{0,4}( :)?\\PC{0,20}\u{1}?(DCC|ACTION )?\\PC{0,9}\u{1}?") {
            if let Passed::On(line) = from_client(&line) {
                prop_assert!(!line.contains('\u{1}') || line.contains(" :\u{1}ACTION "), "{line:?}");
            }
            if from_server(&line) {
                prop_assert!(!line.contains('\u{1}') || line.contains(" :\u{1}ACTION "), "{line:?}");
            }
        }
    }
}
