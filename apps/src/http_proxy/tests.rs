//! The proxy between a browser and sites that the test plays.

use super::*;
use crate::names::book::Shelf;
use crate::names::entry::tests::key;
use crate::network::{ConnectError, Target};
use http_body_util::{BodyExt, Full};
use hyper::header::HOST;
use parking_lot::Mutex;
use ramson_protocol::base64::encode;
use ramson_protocol::time::Wall;
use std::future::Future;
use std::io::Write;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;

/// What one site heard: the streams to it, and the requests in them.
#[derive(Default)]
struct Heard {
    streams: usize,
    requests: Vec<String>,
}

/// Site 1 answers; what the others do, they do when they are called.
#[derive(Clone, Default)]
struct Sites(Arc<Mutex<Heard>>);

impl Network for Sites {
    type Stream = DuplexStream;

    fn connect(&self, to: Target, port: u16) -> impl Future<Output = Result<DuplexStream, ConnectError>> + Send {
        let sites = self.clone();
        async move {
            let Target::Hash(hash) = to else { return Err(ConnectError::Encrypted) };
            let which = (1..9).find(|n| key(*n).1.hash() == hash).ok_or(ConnectError::NotFound)?;
            match which {
                2 => return Err(ConnectError::Refused),
                3 => std::future::pending().await,
                _ => {}
            }
            let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
            sites.0.lock().streams += 1;
            tokio::spawn(async move {
                match which {
                    4 => drop(theirs.write_all(b"SSH-2.0-OpenSSH\r\n").await),
                    5 => drop(theirs.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort").await),
                    8 => {
                        // An outproxy's answer to CONNECT, and then what it was given.
                        let mut heard = Vec::new();
                        while !heard.ends_with(b"\r\n\r\n") {
                            heard.push(theirs.read_u8().await.unwrap());
                        }
                        sites.0.lock().requests.push(String::from_utf8(heard).unwrap());
                        let _ = theirs.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await;
                        let mut buffer = [0; 4];
                        let _ = theirs.read_exact(&mut buffer).await;
                        buffer.reverse();
                        let _ = theirs.write_all(&buffer).await;
                    }
                    6 => {
                        // Bytes of any kind, for tunnels.
                        let mut buffer = [0; 4];
                        let _ = theirs.read_exact(&mut buffer).await;
                        buffer.reverse();
                        let _ = theirs.write_all(&buffer).await;
                    }
                    _ => sites.serve(theirs, port).await,
                }
            });
            Ok(ours)
        }
    }

    async fn connected(_: &DuplexStream) -> Result<(), ConnectError> {
        Ok(())
    }

    async fn carry(mut program: TcpStream, _: Vec<u8>, mut stream: DuplexStream) -> std::io::Result<()> {
        tokio::io::copy_bidirectional(&mut program, &mut stream).await.map(|_| ())
    }
}

impl Sites {
    async fn serve(self, stream: DuplexStream, port: u16) {
        let service = service_fn(move |mut request: Request<Incoming>| {
            let heard = Arc::clone(&self.0);
            async move {
                let upgrade = hyper::upgrade::on(&mut request);
                let (head, body) = request.into_parts();
                let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                let mut names: Vec<&str> = head.headers.keys().map(|name| name.as_str()).collect();
                names.sort_unstable();
                let host = head.headers.get(HOST).map(|host| host.to_str().unwrap()).unwrap_or_default();
                let line = format!("{} {host} {} {port} {} {}", head.method, head.uri, names.join(","), body.len());
                heard.lock().requests.push(line);
                let mut response = Response::new(Full::new(bytes::Bytes::from_static(b"hello")));
                match head.uri.path() {
                    "/slow" => tokio::time::sleep(Duration::from_secs(30)).await,
                    "/gzip" => {
                        let mut gzip = std::process::Command::new("gzip");
                        gzip.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
                        let mut child = gzip.spawn().unwrap();
                        child.stdin.take().unwrap().write_all(&[b'z'; 100_000]).unwrap();
                        let packed = child.wait_with_output().unwrap().stdout;
                        response.headers_mut().insert("content-encoding", scrub::GZIP.parse().unwrap());
                        *response.body_mut() = Full::new(packed.into());
                    }
                    "/socket" => {
                        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                        response.headers_mut().insert("connection", "Upgrade".parse().unwrap());
                        response.headers_mut().insert("upgrade", "websocket".parse().unwrap());
                        tokio::spawn(async move {
                            let mut stream = TokioIo::new(upgrade.await.unwrap());
                            let mut byte = [0; 1];
                            while stream.read_exact(&mut byte).await.is_ok() {
                                stream.write_all(&[byte[0] + 1]).await.unwrap();
                            }
                        });
                    }
                    _ => {}
                }
                Ok::<_, Infallible>(response)
            }
        });
        let _ = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
            .await;
    }
}

struct Rig {
    proxy: Arc<Proxy<Sites>>,
    sites: Sites,
    book: Arc<Book>,
    _dir: tempfile::TempDir,
}

impl Rig {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let names = Names::new(dir.path().join("names.redb"));
        let book = names.book().unwrap();
        for (name, n) in
            [("site.i2p", 1), ("refuses.i2p", 2), ("silent.i2p", 3), ("ssh.i2p", 4), ("short.i2p", 5), ("raw.i2p", 6)]
        {
            book.add(Shelf::User, &HostName::parse(name).unwrap(), key(n).1, false, Wall(1)).unwrap();
        }
        let sites = Sites::default();
        let proxy = Proxy::new(sites.clone(), names, Duration::from_secs(60));
        let proxy = Arc::new(proxy.with_jump_services(
            ["http://jump.i2p/?a=1&q=", "a friend http://friend.i2p/"].map(str::to_owned).to_vec(),
        ));
        Self { proxy, sites, book, _dir: dir }
    }

    fn browser(&self) -> DuplexStream {
        let (browser, end) = tokio::io::duplex(256 * 1024);
        tokio::spawn(Arc::clone(&self.proxy).serve_one(end));
        browser
    }

    /// Sends bytes as a browser and reads all that comes until the proxy closes, as it does with one that says no more.
    async fn raw(&self, request: &str) -> String {
        let mut browser = self.browser();
        browser.write_all(request.as_bytes()).await.unwrap();
        let mut all = Vec::new();
        let _ = browser.read_to_end(&mut all).await;
        String::from_utf8_lossy(&all).into_owned()
    }

    async fn get(&self, url: &str) -> String {
        let host = url.trim_start_matches("http://").split('/').next().unwrap();
        self.raw(&format!("GET {url} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Firefox\r\n\r\n")).await
    }

    /// The same of a page that somebody opens.
    async fn open(&self, url: &str, headers: &str) -> String {
        self.raw(&format!("GET {url} HTTP/1.1\r\nHost: x\r\nUpgrade-Insecure-Requests: 1\r\n{headers}\r\n")).await
    }

    fn requests(&self) -> Vec<String> {
        self.sites.0.lock().requests.clone()
    }
}

/// The status and the label of a page.
fn page(answer: &str) -> (u16, String) {
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    let label = answer.split("Ramson HTTP proxy: ").nth(1).and_then(|rest| rest.split('<').next());
    (status, label.unwrap_or_default().to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_site_is_read_by_name_and_by_address_over_one_stream_and_hears_nothing_of_the_browser() {
    let rig = Rig::new();
    let address = key(1).1.hash().to_b32();
    let request =
        |url: &str| format!("GET {url} HTTP/1.1\r\nHost: x\r\nUser-Agent: Firefox\r\nAccept-Language: de\r\n\r\n");
    let answer = rig.raw(&(request("http://SITE.i2p/a?b") + &request(&format!("http://{address}/c")))).await;
    assert_eq!(answer.matches("200 OK").count(), 2, "{answer}");
    assert!(answer.ends_with("hello"));
    let headers = "host,user-agent,x-accept-encoding";
    assert_eq!(
        rig.requests(),
        [format!("GET site.i2p /a?b 80 {headers} 0"), format!("GET {address} /c 80 {headers} 0")]
    );
    assert_eq!(rig.sites.0.lock().streams, 1, "the stream is kept between requests");
}

#[tokio::test(start_paused = true)]
async fn a_body_goes_through_whole_and_has_one_length() {
    let rig = Rig::new();
    let post = |rest: &str| format!("POST http://site.i2p:81/f HTTP/1.1\r\nHost: site.i2p\r\n{rest}");
    assert!(rig.raw(&post("Content-Length: 5\r\n\r\n12345")).await.contains("200 OK"));
    assert!(rig.raw(&post("Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")).await.contains("200 OK"));
    let heard = rig.requests();
    assert_eq!(heard[0], "POST site.i2p:81 /f 81 content-length,host,user-agent,x-accept-encoding 5");
    assert_eq!(heard[1], "POST site.i2p:81 /f 81 host,transfer-encoding,user-agent,x-accept-encoding 3");
    for smuggled in [
        "Content-Length: 5\r\nContent-Length: 6\r\n\r\n123456",
        "Transfer-Encoding: chunked, identity\r\n\r\n5\r\n",
        "Content-Length: -1\r\n\r\n",
        "Content-Length: 4\r\nBad Header : x\r\n\r\nabcd",
    ] {
        let answer = rig.raw(&post(smuggled)).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{smuggled}: {answer}");
    }
    // Where both are given the length counts for nothing, and is not passed on.
    let both = rig.raw(&post("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n")).await;
    assert!(
        both.contains("400 Bad Request")
            || rig.requests()[2].ends_with("transfer-encoding,user-agent,x-accept-encoding 5"),
        "{both}"
    );
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_page_sees_how_far_it_is_and_it_is_asked_for_once() {
    let rig = Rig::new();
    // A browser of these tests asks again after fifteen seconds.
    for _ in 0..2 {
        let answer = rig.open("http://site.i2p/slow", "").await;
        assert_eq!(page(&answer), (503, "waiting".to_owned()), "{answer}");
        assert!(
            answer.contains("Refresh: 1") && answer.contains("step\">The site itself: has been called"),
            "{answer}"
        );
    }
    assert!(rig.open("http://site.i2p/slow", "").await.ends_with("hello"));
    assert_eq!(rig.requests().len(), 1);
    // Programs, and whoever has a part already, wait for the answer itself.
    assert!(rig.get("http://site.i2p/slow").await.ends_with("hello"));
    assert!(rig.open("http://site.i2p/slow", "Range: bytes=1-\r\n").await.ends_with("hello"));
    for _ in 0..3 {
        assert_eq!(page(&rig.open("http://silent.i2p/", "").await), (503, "waiting".to_owned()));
    }
    assert_eq!(page(&rig.open("http://silent.i2p/", "").await), (504, "timed_out".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn requests_that_nobody_looks_after_are_given_up_and_only_so_many_wait() {
    let rig = Rig::new();
    assert_eq!(page(&rig.open("http://silent.i2p/", "").await), (503, "waiting".to_owned()));
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert_eq!(page(&rig.open("http://silent.i2p/", "").await), (503, "waiting".to_owned()), "begun anew");
    let mut browsers = Vec::new();
    for n in 0..40 {
        let mut browser = rig.browser();
        let request = format!("GET http://silent.i2p/{n} HTTP/1.1\r\nHost: x\r\nUpgrade-Insecure-Requests: 1\r\n\r\n");
        browser.write_all(request.as_bytes()).await.unwrap();
        browsers.push(browser);
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(rig.proxy.shared.waiting.len(), 32);
}

#[tokio::test(start_paused = true)]
async fn every_failure_has_a_page_that_says_which() {
    let rig = Rig::new();
    for (url, status, label) in [
        ("http://nobody.i2p/", 503, "unknown_name"),
        ("http://refuses.i2p/", 503, "refused"),
        ("http://silent.i2p/", 504, "timed_out"),
        ("http://ssh.i2p/", 502, "broken_answer"),
        ("http://example.com/", 503, "clearnet"),
        ("http://localhost/", 403, "local"),
        ("http://abc.b32.i2p/", 400, "address"),
        ("http://a--b.i2p/", 400, "name"),
        ("http://proxy.i2p/", 200, "home"),
        ("http://proxy.i2p/nothing", 404, "no_page"),
        ("http://site.i2p/?i2paddresshelper=nonsense", 404, "bad_helper"),
        ("/", 400, "no_proxy_request"),
    ] {
        let answer = rig.get(url).await;
        assert_eq!(page(&answer), (status, label.to_owned()), "{url}: {answer}");
        assert!(answer.contains("Cache-Control: no-store") && answer.contains("default-src 'none'"), "{url}");
    }
    let gone = format!("http://{}/", key(99).1.hash().to_b32());
    assert_eq!(page(&rig.get(&gone).await), (503, "lease_set_not_found".to_owned()));
    assert!(rig.requests().is_empty());
    // If the answer has begun it cannot become a page any more, but the browser sees that it is not whole.
    let short = rig.get("http://short.i2p/").await;
    assert!(page(&short).1 == "broken_answer" || short.is_empty() || short.ends_with("\r\n\r\nshort"), "{short}");
}

#[test]
fn a_page_that_passes_by_itself_is_looked_at_again_and_no_other_is() {
    let refresh = |error, may: bool| {
        let problem = Problem::Connect("a.i2p".to_owned(), error);
        pages::problem(&problem, &[], may).headers().contains_key("refresh")
    };
    assert!(refresh(ConnectError::NoTunnels, true));
    // Nothing is posted twice, and what was refused is not asked for without end.
    assert!(!refresh(ConnectError::NoTunnels, false) && !refresh(ConnectError::Refused, true));
}

#[tokio::test(start_paused = true)]
async fn the_page_about_an_unknown_name_links_to_services_that_may_know_it_and_no_other_page_does() {
    let rig = Rig::new();
    let answer = rig.get("http://nobody.i2p/").await;
    assert!(answer.contains("<a href=\"http://jump.i2p/?a=1&amp;q=nobody.i2p\">Ask jump.i2p</a>"), "{answer}");
    assert!(answer.contains("<a href=\"http://friend.i2p/nobody.i2p\">Ask a friend</a>"), "{answer}");
    assert!(!rig.get("http://refuses.i2p/").await.contains("jump.i2p"));
}

#[tokio::test(start_paused = true)]
async fn what_a_page_shows_is_never_markup_of_others() {
    let rig = Rig::new();
    let answer = rig.raw("GET http://a'<script>.i2p/ HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(!answer.contains("<script>"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_helper_is_followed_when_the_user_agrees_and_never_by_itself() {
    let rig = Rig::new();
    let helper = |name: &str, n: u8| format!("http://{name}/p?i2paddresshelper={}", encode(key(n).1.as_bytes()));
    // Known, and the same.
    assert!(rig.get(&helper("site.i2p", 1)).await.contains("hello"));
    assert_eq!(rig.requests()[0].split(' ').nth(2), Some("/p"), "the site does not see the helper");

    let token = |answer: &str| answer.split("token=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let reply = |token: String, what: &str| {
        let request = format!(
            "POST http://proxy.i2p/helper?token={token}&do={what} HTTP/1.1\r\nHost: proxy.i2p\r\nContent-Length: 0\r\n\r\n"
        );
        let rig = &rig;
        async move { rig.raw(&request).await }
    };
    let asked = rig.get(&helper("new.i2p", 1)).await;
    assert_eq!(page(&asked), (409, "new_name".to_owned()));
    assert_eq!(page(&reply("guessed".to_owned(), "keep").await).1, "token");
    let once = reply(token(&asked), "once").await;
    assert!(once.contains(&format!("Location: http://{}/p", key(1).1.hash().to_b32())), "{once}");
    assert_eq!(page(&reply(token(&asked), "keep").await).1, "token", "it was answered");
    let kept = reply(token(&rig.get(&helper("new.i2p", 1)).await), "keep").await;
    assert!(kept.contains("Location: http://new.i2p/p"), "{kept}");
    assert!(rig.get("http://new.i2p/").await.contains("hello"));

    let conflict = rig.get(&helper("new.i2p", 2)).await;
    assert_eq!(page(&conflict), (409, "name_conflict".to_owned()));
    let whose = || rig.book.lookup(&HostName::parse("new.i2p").unwrap()).unwrap().unwrap().1;
    reply(token(&conflict), "keep").await;
    assert_eq!(*whose().destination(), key(1).1, "only if that is said");
    reply(token(&rig.get(&helper("new.i2p", 2)).await), "replace").await;
    assert_eq!(*whose().destination(), key(2).1);
}

#[tokio::test(start_paused = true)]
async fn what_a_server_packed_for_the_way_is_unpacked() {
    let rig = Rig::new();
    let answer = rig.get("http://site.i2p/gzip").await;
    assert!(!answer.to_ascii_lowercase().contains("content-encoding"), "{}", &answer[..400]);
    assert_eq!(answer.matches('z').count(), 100_000);
}

#[tokio::test(start_paused = true)]
async fn tunnels_and_web_sockets_carry_bytes_both_ways() {
    let rig = Rig::new();
    let mut browser = rig.browser();
    browser.write_all(b"CONNECT raw.i2p:22 HTTP/1.1\r\nHost: raw.i2p\r\n\r\n").await.unwrap();
    let mut head = vec![0; "HTTP/1.1 200 OK\r\n".len()];
    browser.read_exact(&mut head).await.unwrap();
    assert_eq!(head, b"HTTP/1.1 200 OK\r\n");
    browser.write_all(b"abcd").await.unwrap();
    let mut all = Vec::new();
    browser.read_to_end(&mut all).await.unwrap();
    assert!(all.ends_with(b"\r\n\r\ndcba"));

    let mut browser = rig.browser();
    let request =
        "GET http://site.i2p/socket HTTP/1.1\r\nHost: site.i2p\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    browser.write_all(request.as_bytes()).await.unwrap();
    let mut all = vec![0; 4096];
    let n = browser.read(&mut all).await.unwrap();
    let head = String::from_utf8_lossy(&all[..n]).to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101") && head.contains("upgrade: websocket"), "{head}");
    browser.write_all(b"HAL").await.unwrap();
    let mut echo = [0; 3];
    browser.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"IBM");
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_or_never_ends_is_let_go() {
    let rig = Rig::new();
    let mut silent = rig.browser();
    silent.write_all(b"GET http://site.i2p/ HTTP/1.1\r\n").await.unwrap();
    let mut all = Vec::new();
    silent.read_to_end(&mut all).await.unwrap();
    assert!(String::from_utf8_lossy(&all).contains("408") || all.is_empty());
    let long = format!("GET http://site.i2p/ HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(2 * HEADER_BYTES));
    assert!(rig.raw(&long).await.starts_with("HTTP/1.1 431"));
    assert!(rig.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_outside_goes_to_the_first_outproxy_that_answers_and_tells_it_nothing_of_the_browser() {
    let rig = Rig::new();
    let out = |all: &[String]| {
        let dir = tempfile::tempdir().unwrap();
        let names = Names::new(dir.path().join("names.redb"));
        let (sites, proxy) = (rig.sites.clone(), Proxy::new(rig.sites.clone(), names, Duration::from_secs(60)));
        let proxy = proxy.with_ways(all.to_vec(), 0, move || sites.clone());
        Rig { proxy: Arc::new(proxy), sites: rig.sites.clone(), book: Arc::clone(&rig.book), _dir: dir }
    };
    let address = |n: u8| key(n).1.hash().to_b32();
    let outside = out(&[address(2), address(99), format!("{}:3128", address(7))]);
    assert!(outside.get("http://example.com/a?b=c").await.contains("hello"));
    assert!(outside.get("http://example.com:81/").await.contains("hello"));
    let heard = rig.requests();
    assert_eq!(heard[0], "GET example.com http://example.com/a?b=c 3128 host,user-agent 0");
    assert!(heard[1].starts_with("GET example.com:81 http://example.com:81/ "), "{}", heard[1]);
    for local in ["http://127.0.0.1/", "http://localhost/"] {
        assert_eq!(page(&outside.get(local).await).1, "local");
    }
    assert_eq!(page(&out(&[address(2)]).get("http://example.com/").await), (503, "outproxy".to_owned()));

    let tunnels = out(&[address(8)]);
    let mut browser = tunnels.browser();
    browser.write_all(b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n").await.unwrap();
    let mut head = vec![0; "HTTP/1.1 200 OK\r\n".len()];
    browser.read_exact(&mut head).await.unwrap();
    browser.write_all(b"abcd").await.unwrap();
    let mut all = Vec::new();
    browser.read_to_end(&mut all).await.unwrap();
    assert!(all.ends_with(b"\r\n\r\ndcba"));
    assert!(rig.requests().last().unwrap().starts_with("CONNECT example.com:443 HTTP/1.1\r\n"));
}

/// A proxy for those with an account, each of whom has a destination of his own.
fn proxy_with_users(rig: &Rig, most: usize) -> (Arc<Proxy<Sites>>, Arc<Mutex<Vec<Sites>>>) {
    let names = Names::new(rig._dir.path().join("more.redb"));
    names.book().unwrap().add(Shelf::User, &HostName::parse("site.i2p").unwrap(), key(1).1, false, Wall(1)).unwrap();
    let made = Arc::new(Mutex::new(Vec::new()));
    let to = Arc::clone(&made);
    let make = move || {
        let sites = Sites::default();
        to.lock().push(sites.clone());
        sites
    };
    let passwords = ["a", "b", "c"].map(|user| (user.to_owned(), "pw".to_owned())).into();
    let proxy = Proxy::new(rig.sites.clone(), names, Duration::from_secs(60)).with_ways(Vec::new(), most, make);
    (Arc::new(proxy.with_accounts(Some(Accounts::new(Scheme::Basic, passwords)))), made)
}

#[tokio::test(start_paused = true)]
async fn each_user_with_the_right_password_has_a_destination_of_his_own_and_one_too_many_none() {
    let mut rig = Rig::new();
    let (proxy, made) = proxy_with_users(&rig, 2);
    rig.proxy = proxy;
    let ask = |user: &str| {
        let said = encode(format!("{user}:pw").as_bytes());
        format!("GET http://site.i2p/ HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic {said}\r\n\r\n")
    };
    let without = rig.get("http://site.i2p/").await;
    assert_eq!(page(&without), (407, "account".to_owned()));
    assert!(without.contains("Proxy-Authenticate: Basic realm="), "{without}");
    assert_eq!(page(&rig.raw(&ask("d")).await).0, 407);
    for user in ["a", "b", "a"] {
        let answer = rig.raw(&ask(user)).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert_eq!(page(&rig.raw(&ask("c")).await), (503, "too_many_users".to_owned()));
    let heard: Vec<_> = made.lock().iter().map(|sites| sites.0.lock().requests.clone()).collect();
    assert_eq!(heard.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
    assert!(heard.concat().iter().all(|request| !request.contains("authorization")), "{heard:?}");
    assert!(rig.requests().is_empty());
}
