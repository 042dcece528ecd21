//! How the operator speaks with a router that runs: a socket in the data folder, for the user that it runs as alone.
//!
//! ```text
//! DATA/control.sock            UNIX stream socket, mode 0600
//! request   {"command": "...", ...} \n       one line of JSON, 2 MiB at most; one request per connection
//! answer    {"ok": ...} \n                   what was asked for
//!           {"error": "words for the operator"} \n
//! ```
//! | command | fields | answer |
//! |---|---|---|
//! | `status` | | what `ramson status --json` prints |
//! | `routers` | `private` | RouterInfos in base 64 that are fit to be given to newcomers, [`MOST_ROUTERS`] of them at most |
//! | `learn` | `routers` | what became of these RouterInfos in base 64, [`MOST_LEARNED`] of them at most, as [`Learned`] |
//! | `bans` | | a list of `{"who", "kind", "seconds_left", "times", "reason"}` |
//! | `ban` | `who`, `seconds`, `reason` | `null` |
//! | `name` | `what`, as the command line says it | what `ramson name` prints, as one text |
//! | `ping` | `whom`, `count` | what `ramson ping` prints, as one text |
//! | `lift` | `who` | `null`; an error if nobody of that name is banned |
//!
//! A command is a line of [`Request`] and an arm of [`answer`]; nothing here blocks, so it may be asked at any load: the address
//! book is read and written by a thread of its own, which may take [`LISTS`], and a ping waits for others. At most [`CLIENTS`] are served at once, each
//! for [`PATIENCE`] at most beside that, whatever they do.

use crate::Failure;
use crate::intake::Learned;
use crate::name::NameCommand;
use crate::platform::{self, LocalStream};
use actix::clock::timeout;
use ramson_actors::node::Node;
use ramson_apps::names::Names;
use ramson_protocol::base64;
use ramson_protocol::blame::Who;
use ramson_protocol::reseed::bundle::is_fit;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;

/// The socket's name in the data folder.
const NAME: &str = "control.sock";

/// The longest request: the RouterInfos of a few bundles.
const MAX_REQUEST: u64 = 2 << 20;

/// RouterInfos in one request: they fit it if each is as long as one can be.
pub(crate) const MOST_LEARNED: usize = 128;

/// Clients that are served at once; others wait in the kernel's queue.
const CLIENTS: usize = 4;

/// RouterInfos in one answer: enough for many different bundles.
const MOST_ROUTERS: usize = 2000;

/// How long a client may take to ask and to read the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a list of names may take to be read.
const LISTS: Duration = Duration::from_secs(120);

/// What the operator wants.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    /// What is the router, and what is it busy with?
    Status {},
    /// What stands at each destination?
    Destinations {},
    /// Which routers are worth being known by a newcomer?
    Routers {
        /// Also those at addresses that are not public.
        private: bool,
    },
    /// Take these into the database.
    Learn {
        /// As they are on the wire, in base 64.
        routers: Vec<String>,
    },
    /// Who is banned?
    Bans {},
    /// Ban somebody.
    Ban {
        /// A router hash, an address, or a network.
        who: String,
        /// For how long.
        seconds: u64,
        /// Why, for the list.
        reason: String,
    },
    /// Read or change the address book.
    Name {
        /// How.
        what: NameCommand,
    },
    /// Ask a destination whether it is there.
    Ping {
        /// Its name.
        whom: String,
        /// How often.
        count: u8,
    },
    /// Lift a ban.
    Lift {
        /// Who is banned.
        who: String,
    },
}

/// One entry of the list of bans.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Banned {
    /// A router hash, an address, or a network.
    pub(crate) who: String,
    /// Which of these.
    pub(crate) kind: String,
    /// How long it lasts.
    pub(crate) seconds_left: u64,
    /// How often this one has been banned by now.
    pub(crate) times: u32,
    /// What for.
    pub(crate) reason: String,
}

/// Serves until the system ends. The socket of an earlier run gives way: the lock of the folder says that it has ended.
///
/// # Errors
/// If the socket cannot be made.
pub(crate) fn serve(data: &Path, node: Node, names: Names) -> io::Result<()> {
    let path = socket(data);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = platform::listen(&path)?;
    let places = Arc::new(Semaphore::new(CLIENTS));
    actix::spawn(async move {
        // The semaphore is never closed.
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            // Without a descriptor for the next client the last ones are waited for.
            let Ok((client, _)) = listener.accept().await else {
                actix::clock::sleep(PATIENCE).await;
                continue;
            };
            let (node, names) = (node.clone(), names.clone());
            actix::spawn(async move {
                // Whatever fails is the client's to notice.
                let _ = talk(client, &node, names).await;
                drop(place);
            });
        }
    });
    Ok(())
}

fn socket(data: &Path) -> PathBuf {
    data.join(NAME)
}

/// One question, one answer.
async fn talk(mut client: LocalStream, node: &Node, names: Names) -> io::Result<()> {
    let (read, mut write) = client.split();
    let mut line = String::new();
    // Who takes too long is left alone.
    timeout(PATIENCE, tokio::io::BufReader::new(read.take(MAX_REQUEST)).read_line(&mut line)).await??;
    let answer = match serde_json::from_str(&line) {
        Ok(Request::Name { what }) => name_answer(what, names).await,
        Ok(Request::Ping { whom, count }) => crate::ping::perform(node, names, whom, count).await,
        Ok(request) => answer(request, node).await,
        Err(error) => Err(format!("no such request: {error}; are both ramsons of one version?")),
    };
    let answer = match answer {
        Ok(value) => json!({ "ok": value }),
        Err(words) => json!({ "error": words }),
    };
    timeout(PATIENCE, write.write_all(format!("{answer}\n").as_bytes())).await?
}

/// What `ramson name` prints.
///
/// # Errors
/// Words for the operator.
async fn name_answer(what: NameCommand, names: Names) -> Result<Value, String> {
    let done = tokio::task::spawn_blocking(move || {
        let book = names.book().map_err(|error| error.to_string())?;
        let mut text = Vec::new();
        crate::name::perform(&book, &mut text, what).map_err(|error| error.to_string())?;
        Ok(json!(String::from_utf8_lossy(&text)))
    });
    done.await.unwrap_or_else(|_| Err("the address book failed: the router's log says why".to_owned()))
}

/// Does what is asked.
///
/// # Errors
/// Words for the operator.
async fn answer(request: Request, node: &Node) -> Result<Value, String> {
    match request {
        Request::Status {} => Ok(crate::status::gather(node)),
        Request::Destinations {} => Ok(crate::destinations::gather(node).await),
        Request::Routers { private } => Ok(json!(fit_routers(node, private).await)),
        Request::Learn { routers } => {
            let found = routers.iter().take(MOST_LEARNED).map(|text| base64::decode(text).unwrap_or_default().into());
            Ok(json!(Learned::from(node.netdb().bootstrap(found.collect()).await)))
        }
        Request::Bans {} => {
            let now = node.shared().now().mono;
            let bans = node.bans().await.into_iter().map(|ban| Banned {
                who: ban.who.to_string(),
                kind: ban.who.kind().to_owned(),
                seconds_left: ban.until.saturating_sub(now).as_secs(),
                times: ban.bans,
                reason: ban.reason.into_owned(),
            });
            Ok(json!(bans.collect::<Vec<_>>()))
        }
        Request::Ban { who, seconds, reason } => {
            // A line of its file is one line.
            let reason: String = reason.chars().filter(|c| !c.is_control()).take(120).collect();
            node.ban(name(&who)?, Duration::from_secs(seconds.min(u64::from(u32::MAX))), reason).await;
            Ok(Value::Null)
        }
        Request::Name { .. } | Request::Ping { .. } => Err("names are answered elsewhere".to_owned()),
        Request::Lift { who } => {
            let lifted = node.pardon(name(&who)?).await;
            if lifted { Ok(Value::Null) } else { Err(format!("{who} is not banned; `ramson bans` lists who is")) }
        }
    }
}

/// Routers that are fresh and can be called, as they are on the wire, by chance if there are many.
async fn fit_routers(node: &Node, private: bool) -> Vec<String> {
    let (net_id, now) = (node.shared().net_id(), node.shared().now().wall);
    let mut all = node.netdb().routers().await;
    all.retain(|info| is_fit(info, net_id, private, now));
    all.shuffle(&mut node.shared().rng());
    all.truncate(MOST_ROUTERS);
    all.iter().map(|info| base64::encode(info.as_bytes())).collect()
}

fn name(who: &str) -> Result<Who, String> {
    who.parse().map_err(|error| format!("`{who}` is {error}"))
}

/// Asks the router that runs with this data folder.
///
/// # Errors
/// If none runs, or it refuses, with what to do.
pub(crate) fn ask(data: &Path, request: &Request) -> Result<Value, Failure> {
    let path = socket(data);
    let mut stream = platform::connect(&path).map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
            format!("no ramson runs with {}: start it, or name its folder with --data", data.display())
        }
        ErrorKind::Unsupported => "routers take no commands on this system".to_owned(),
        ErrorKind::PermissionDenied => {
            format!("{} is not yours: ask as the user that the router runs as", path.display())
        }
        _ => format!("cannot speak with the router at {}: {error}", path.display()),
    })?;
    let patience = match request {
        Request::Name { .. } | Request::Learn { .. } => LISTS,
        Request::Ping { .. } => crate::ping::WHOLE,
        _ => PATIENCE,
    };
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let text = serde_json::to_string(request)?;
    stream.write_all(format!("{text}\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).map_err(|error| format!("the router does not answer: {error}"))?;
    let mut answer: Value = serde_json::from_str(&line).map_err(|_| "the router has ended while it was asked")?;
    match answer.get_mut("error") {
        Some(words) => Err(words.as_str().unwrap_or("the router refuses").to_owned().into()),
        None => Ok(answer.get_mut("ok").map(Value::take).unwrap_or_default()),
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use crate::data_dir::DataDir;
    use crate::run::start_node;
    use crate::settings::Settings;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixStream as Blocking;
    use tokio::net::UnixStream;

    const TEXT: &str = "[network]\nid = 99\nallow_private_addresses = true\n[router]\nio_threads = 1\n\
                        [ntcp2]\nlisten = \"127.0.0.1:0\"\n[ssu2]\nenabled = false\n[exploratory]\nquantity = 0\n";

    async fn asked(data: &Path, request: Request) -> Result<Value, String> {
        let data = data.to_owned();
        tokio::task::spawn_blocking(move || ask(&data, &request).map_err(|error| error.to_string())).await.unwrap()
    }

    #[actix::test]
    async fn who_is_banned_is_listed_stays_so_over_a_restart_and_is_free_when_lifted() {
        let folder = tempfile::tempdir().unwrap();
        let run = || {
            let data = DataDir::open(folder.path()).unwrap();
            let node = start_node(&Settings::parse(TEXT).unwrap(), &data, None).unwrap();
            serve(folder.path(), node.clone(), Names::new(data.names_path())).unwrap();
            (node, data)
        };
        let ban = |who: &str| Request::Ban { who: who.to_owned(), seconds: 1000, reason: "two\nlines".to_owned() };
        let (node, data) = run();
        let mode = std::fs::metadata(socket(folder.path())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(asked(folder.path(), Request::Bans {}).await, Ok(json!([])));
        assert!(asked(folder.path(), ban("nobody")).await.unwrap_err().contains("no router hash"));
        assert_eq!(asked(folder.path(), ban("192.0.2.7")).await, Ok(Value::Null));
        assert!(node.shared().gate().bars_address([192, 0, 2, 7].into()));
        let path = folder.path().join("bans");
        while !std::fs::read_to_string(&path).is_ok_and(|text| text.contains("192.0.2.7")) {
            actix::clock::sleep(Duration::from_millis(5)).await;
        }
        node.stop().await;
        drop((node, data));

        let (node, _data) = run();
        let bans: Vec<Banned> = serde_json::from_value(asked(folder.path(), Request::Bans {}).await.unwrap()).unwrap();
        let [Banned { who, kind, seconds_left: 1..=1000, times: 1, reason }] = &bans[..] else { panic!("{bans:?}") };
        assert_eq!([&**who, &**kind, &**reason], ["192.0.2.7", "address", "twolines"]);
        assert!(node.shared().gate().bars_address([192, 0, 2, 7].into()));
        let lift = Request::Lift { who: "192.0.2.7".to_owned() };
        assert_eq!(asked(folder.path(), lift.clone()).await, Ok(Value::Null));
        assert!(asked(folder.path(), lift).await.unwrap_err().contains("not banned"));
        assert!(!node.shared().gate().bars_address([192, 0, 2, 7].into()));
        node.stop().await;
    }

    #[actix::test]
    async fn a_router_that_runs_says_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        let node = start_node(&Settings::parse(TEXT).unwrap(), &data, None).unwrap();
        serve(folder.path(), node.clone(), Names::new(data.names_path())).unwrap();
        let status = asked(folder.path(), Request::Status {}).await.unwrap();
        let at = |path: &str| status.pointer(path).cloned().unwrap_or_default();
        assert_eq!(at("/router/hash"), json!(node.shared().hash().to_base64()));
        assert_eq!((at("/router/network"), at("/ready")), (json!(99), json!(false)));
        assert!(at("/not_ready_because").as_str().is_some_and(|why| why.contains("no routers known")), "{status}");
        node.stop().await;
    }

    #[actix::test]
    async fn clients_that_say_nothing_or_nonsense_keep_nobody_out_for_long() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        let node = start_node(&Settings::parse(TEXT).unwrap(), &data, None).unwrap();
        serve(folder.path(), node.clone(), Names::new(data.names_path())).unwrap();
        let mut nonsense = UnixStream::connect(socket(folder.path())).await.unwrap();
        // The rest of a line that is too long may not be read any more.
        let _ = nonsense.write_all(&vec![b'x'; 4 << 20]).await;
        let mut line = String::new();
        tokio::io::BufReader::new(nonsense).read_line(&mut line).await.unwrap();
        assert!(line.contains("no such request"), "{line}");
        let silent: Vec<_> = (0..CLIENTS).map(|_| Blocking::connect(socket(folder.path())).unwrap()).collect();
        drop(silent);
        assert_eq!(asked(folder.path(), Request::Bans {}).await, Ok(json!([])));
        node.stop().await;
    }

    #[actix::test]
    async fn names_are_read_and_changed_while_the_router_runs() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        let node = start_node(&Settings::parse(TEXT).unwrap(), &data, None).unwrap();
        serve(folder.path(), node.clone(), Names::new(data.names_path())).unwrap();
        let keys = ramson_protocol::data::private_keys::PrivateKeys::generate([1; 32], &[2; 32]);
        let destination = base64::encode(keys.destination.as_bytes());
        let list = folder.path().join("hosts.txt");
        std::fs::write(&list, format!("listed.i2p={destination}\n")).unwrap();
        let name = |what| Request::Name { what };
        let (lookup, import) = (
            |name: &str| NameCommand::Lookup { name: name.to_owned(), json: false },
            NameCommand::Import { paths: vec![list] },
        );
        assert!(asked(folder.path(), name(lookup("listed.i2p"))).await.unwrap_err().contains("not known"));
        let told = asked(folder.path(), name(import)).await.unwrap();
        assert!(told.as_str().is_some_and(|text| text.contains("1 added")), "{told}");
        let found = asked(folder.path(), name(lookup("listed.i2p"))).await.unwrap();
        assert!(found.as_str().is_some_and(|text| text.contains(&keys.destination.hash().to_b32())), "{found}");
        let remove = NameCommand::Remove { name: "listed.i2p".to_owned(), book: crate::name::BookName::Hosts };
        assert_eq!(asked(folder.path(), name(remove)).await, Ok(json!("")));
        assert!(asked(folder.path(), name(lookup("listed.i2p"))).await.is_err());
        node.stop().await;
    }

    #[actix::test]
    async fn routers_that_are_given_by_hand_are_known_at_once_to_a_router_that_runs_and_to_one_that_will() {
        use ramson_protocol::netdb::rules::Rules;
        let [first, second] = [0, 1].map(|_| tempfile::tempdir().unwrap());
        let settings = Settings::parse(TEXT).unwrap();
        let other = DataDir::open(second.path()).unwrap();
        let stranger = start_node(&settings, &other, None).unwrap();
        let info = stranger.shared().router_info();
        let rules = Rules { net_id: 99, own: Default::default(), floodfill: false };
        for runs in [false, true] {
            let data = DataDir::open(first.path()).unwrap();
            let node = start_node(&settings, &data, None).unwrap();
            serve(first.path(), node.clone(), Names::new(data.names_path())).unwrap();
            let running = if runs {
                Some((node, data))
            } else {
                node.stop().await;
                drop((node, data));
                None
            };
            let (folder, found) = (first.path().to_owned(), vec![info.as_bytes().clone(), vec![1, 2, 3].into()]);
            let taken = tokio::task::spawn_blocking(move || {
                crate::intake::take(&folder, found, &rules).map_err(|error| error.to_string())
            });
            let imported = taken.await.unwrap().unwrap();
            assert_eq!(
                (imported.taken + imported.known, imported.refused.get("malformed")),
                (1, Some(&1)),
                "{imported}"
            );
            if let Some((node, _data)) = running {
                assert!(node.netdb().routers().await.iter().any(|known| known.hash() == info.hash()));
                node.stop().await;
            }
        }
        stranger.stop().await;
    }

    #[test]
    fn without_a_router_the_operator_is_told_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let error = ask(folder.path(), &Request::Bans {}).unwrap_err().to_string();
        assert!(error.contains("start it"), "{error}");
    }
}
