//! Visitors, a site, and a program that says what it heard.

use super::*;
use crate::names::entry::tests::key;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::TcpListener;

/// A program that answers with the request that it heard, one connection after another.
async fn program(answer_headers: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut heard = Vec::new();
                loop {
                    let mut chunk = [0; 4096];
                    match socket.read(&mut chunk).await {
                        Ok(0) | Err(_) => return,
                        Ok(len) => heard.extend_from_slice(&chunk[..len]),
                    }
                    if heard.windows(4).any(|end| end == b"\r\n\r\n") {
                        let head =
                            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{answer_headers}\r\n", heard.len());
                        socket.write_all(&[head.as_bytes(), &heard].concat()).await.unwrap();
                        heard.clear();
                    }
                }
            });
        }
    });
    at
}

async fn visit(site: &Arc<Site>, n: u8, request: &str) -> String {
    let (mut visitor, end) = duplex(256 * 1024);
    let (site, who) = (Arc::clone(site), key(n).1);
    tokio::spawn(async move { site.serve(end, &who).await });
    visitor.write_all(request.as_bytes()).await.unwrap();
    visitor.shutdown().await.unwrap();
    let mut all = Vec::new();
    visitor.read_to_end(&mut all).await.unwrap();
    String::from_utf8_lossy(&all).into_owned()
}

fn plain(target: SocketAddr) -> Config {
    of(Content::Program(Program::at(target)))
}

fn of(content: Content) -> Config {
    Config {
        content,
        host: None,
        reject: Reject::default(),
        compress: true,
        requests_per_minute: 0,
        changes_per_minute: 0,
        posts: Posts::default(),
    }
}

fn get(more: &str) -> String {
    format!("GET /a?b HTTP/1.1\r\nHost: me.i2p\r\n{more}\r\n")
}

#[tokio::test]
async fn the_program_is_told_who_visits_and_nobody_can_say_that_he_is_somebody_else() {
    let target = program("Server: x/1.0\r\nDate: now\r\nX-Powered-By: y\r\nX-Kept: 1\r\n").await;
    let site = Site::new(plain(target)).unwrap();
    let forged = "X-I2P-DestHash: forged\r\nx-i2p-destb32: forged\r\nX-I2P-Other: forged\r\nProxy-Authorization: z\r\n";
    let answer = visit(&site, 1, &get(forged)).await;
    let who = key(1).1;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("X-Kept: 1"), "{answer}");
    let (head, heard) = answer.split_once("\r\n\r\n").unwrap();
    assert!(heard.starts_with("GET /a?b HTTP/1.1\r\n"), "{heard}");
    let heard = heard.to_ascii_lowercase();
    for line in [
        format!("x-i2p-destb32: {}", who.hash().to_b32()),
        format!("x-i2p-desthash: {}", base64::encode(&who.hash().0).to_ascii_lowercase()),
        format!("x-i2p-destb64: {}", base64::encode(who.as_bytes()).to_ascii_lowercase()),
        "host: me.i2p".to_owned(),
    ] {
        assert_eq!(heard.matches(&line).count(), 1, "{line} in {heard}");
    }
    assert!(!heard.contains("forged") && !heard.contains("proxy-"), "{heard}");
    let head = head.to_ascii_lowercase();
    assert!(!head.contains("server:") && !head.contains("date:") && !head.contains("x-powered-by"), "{head}");
}

#[tokio::test]
async fn the_host_is_the_one_that_is_configured_and_visitors_by_inproxy_are_sent_away() {
    let host = Some("mine.example".to_owned());
    let reject = Reject { inproxy: true, referer: true, user_agents: vec!["curl".to_owned(), "none".to_owned()] };
    let config = Config { host, reject, ..plain(program("").await) };
    let site = Site::new(config).unwrap();
    let answer = visit(&site, 1, &get("User-Agent: MYOB\r\n")).await.to_ascii_lowercase();
    assert!(answer.contains("host: mine.example") && !answer.contains("me.i2p"), "{answer}");
    for header in [
        "User-Agent: MYOB\r\nX-Forwarded-For: 192.0.2.1\r\n",
        "User-Agent: MYOB\r\nForwarded: for=x\r\n",
        "User-Agent: MYOB\r\nReferer: /a\r\n",
        "User-Agent: curl/8\r\n",
        "",
    ] {
        assert!(visit(&site, 1, &get(header)).await.starts_with("HTTP/1.1 403"), "{header}");
    }
}

#[tokio::test]
async fn who_asks_too_often_hears_so_and_others_are_served() {
    let plain = plain(program("").await);
    let site = Site::new(Config { requests_per_minute: 3, changes_per_minute: 1, ..plain }).unwrap();
    let post = "POST / HTTP/1.1\r\nHost: me.i2p\r\nContent-Length: 0\r\n\r\n";
    let status = async |n, request: &str| visit(&site, n, request).await.split(' ').nth(1).map(str::to_owned).unwrap();
    assert_eq!([status(1, post).await, status(1, post).await], ["200", "429"]);
    assert_eq!([status(1, &get("")).await, status(1, &get("")).await], ["200", "429"]);
    assert_eq!(status(2, post).await, "200");
    let later = Duration::from_secs(10_000);
    assert!(site.wait(key(1).1.hash(), &Method::POST, later).is_none(), "it comes back with time");
}

#[tokio::test]
async fn who_posts_too_much_is_told_when_he_may_again_and_reads_on() {
    let posts = Posts { each: 1, ban: Duration::from_secs(700), ..Posts::default() };
    let site = Site::new(Config { posts, ..plain(program("").await) }).unwrap();
    let post = "POST / HTTP/1.1\r\nHost: me.i2p\r\nContent-Length: 0\r\n\r\n";
    assert!(visit(&site, 1, post).await.starts_with("HTTP/1.1 200"));
    let answer = visit(&site, 1, post).await.to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 429") && answer.contains("retry-after: 700\r\n"), "{answer}");
    assert!(visit(&site, 1, &get("")).await.starts_with("HTTP/1.1 200"));
    assert!(visit(&site, 2, post).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_request_that_can_be_read_in_two_ways_reaches_no_program() {
    let site = Site::new(plain(program("").await)).unwrap();
    for wrong in [
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n123456".to_owned(),
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n".to_owned(),
        get(&"X: y\r\n".repeat(HEADERS + 1)),
        get(&format!("X: {}\r\n", "y".repeat(2 * HEADER_BYTES))),
    ] {
        let answer = visit(&site, 1, &wrong).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{}: {answer}", &wrong[..60.min(wrong.len())]);
    }
}

#[tokio::test]
async fn a_program_that_does_not_run_is_no_reason_to_break_off() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let site = Site::new(plain(gone)).unwrap();
    let answer = visit(&site, 1, &get("")).await;
    assert!(answer.starts_with("HTTP/1.1 503") && !answer.to_ascii_lowercase().contains("ramson"), "{answer}");
}

#[tokio::test]
async fn a_program_that_is_no_web_server_is_no_reason_to_break_off() {
    for nonsense in
        ["SSH-2.0-OpenSSH\r\n", "HTTP/1.1 999999 x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "\0"]
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let site = Site::new(plain(listener.local_addr().unwrap())).unwrap();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let _ = socket.write_all(nonsense.as_bytes()).await;
            }
        });
        let answer = visit(&site, 1, &get("")).await;
        assert!(answer.starts_with("HTTP/1.1 503") && !answer.contains("OpenSSH"), "{nonsense:?}: {answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_visitor_who_never_ends_his_head_is_let_go() {
    let site = Site::new(plain("127.0.0.1:1".parse().unwrap())).unwrap();
    let (mut visitor, end) = duplex(1024);
    visitor.write_all(b"GET / HTTP/1.1\r\nHost: me.i2p\r\n").await.unwrap();
    // It ends by itself.
    site.serve(end, &key(1).1).await;
    let mut all = Vec::new();
    visitor.read_to_end(&mut all).await.unwrap();
    assert!(!String::from_utf8_lossy(&all).contains("200"));
}

/// A folder with files, links and what is not for visitors.
fn folder() -> tempfile::TempDir {
    let outside = tempfile::tempdir().unwrap();
    let all = outside.path().join("site");
    std::fs::create_dir_all(all.join("sub")).unwrap();
    std::fs::create_dir_all(all.join(".well-known")).unwrap();
    for (name, text) in [
        ("site/index.html", "<p>home"),
        ("site/a b.css", "0123456789"),
        ("site/404.html", "nothing here"),
        ("site/sub/index.html", "below"),
        ("site/.secret", "hidden"),
        ("site/.well-known/x", "known"),
        ("password", "not yours"),
    ] {
        std::fs::write(outside.path().join(name), text).unwrap();
    }
    std::os::unix::fs::symlink(outside.path().join("password"), all.join("out")).unwrap();
    std::os::unix::fs::symlink("a b.css", all.join("in")).unwrap();
    outside
}

async fn page(site: &Arc<Site>, path: &str, more: &str) -> (u16, String) {
    let answer = visit(site, 1, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}\r\n")).await;
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    (status, answer)
}

#[tokio::test]
async fn a_folder_is_shown_with_types_and_ranges_and_nothing_that_is_outside_or_hidden() {
    let outside = folder();
    let path = outside.path().join("site");
    let site = Site::new(of(Content::Folder { path: path.clone(), spa: false })).unwrap();
    let home = page(&site, "/", "").await;
    assert!(home.0 == 200 && home.1.ends_with("<p>home") && home.1.contains("text/html"), "{home:?}");
    let style = page(&site, "/a%20b.css", "Range: bytes=2-4\r\n").await;
    assert!(style.0 == 206 && style.1.ends_with("\r\n\r\n234") && style.1.contains("text/css"), "{style:?}");
    assert_eq!(page(&site, "/sub/", "").await.0, 200);
    assert_eq!(page(&site, "/in", "").await.0, 200, "a link within is as good as a file");
    assert_eq!(page(&site, "/.well-known/x", "").await.0, 200);
    let modified = home.1.lines().find_map(|line| line.strip_prefix("Last-Modified: ")).unwrap().to_owned();
    assert_eq!(page(&site, "/", &format!("If-Modified-Since: {modified}\r\n")).await.0, 304);
    for path in ["/out", "/.secret", "/../password", "/%2e%2e/password", "/sub/..%2f..%2fpassword", "/nothing", "/a%00"]
    {
        let (status, answer) = page(&site, path, "").await;
        assert!(status == 404 && answer.ends_with("nothing here"), "{path}: {answer}");
    }
    assert!(visit(&site, 1, "POST / HTTP/1.1\r\nHost: x\r\n\r\n").await.starts_with("HTTP/1.1 405"));
    let spa = Site::new(of(Content::Folder { path, spa: true })).unwrap();
    let deep = page(&spa, "/deep/in/it", "").await;
    assert!(deep.0 == 200 && deep.1.ends_with("<p>home"), "{deep:?}");
    assert!(Site::new(of(Content::Folder { path: outside.path().join("password"), spa: false })).is_err());
}

#[tokio::test]
async fn text_is_compressed_for_those_who_read_it_and_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let words = "many words. ".repeat(500);
    for name in ["long.txt", "long.bin"] {
        std::fs::write(folder.path().join(name), &words).unwrap();
    }
    std::fs::write(folder.path().join("short.txt"), "few words").unwrap();
    let site = Site::new(of(Content::Folder { path: folder.path().to_owned(), spa: false })).unwrap();
    let asks = "X-Accept-Encoding: x-i2p-gzip;q=1.0, identity;q=0.5\r\n";
    let (_, answer) = page(&site, "/long.txt", asks).await;
    let length = answer.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
    assert!(answer.contains("Content-Encoding: x-i2p-gzip") && length.parse::<usize>().unwrap() < 500, "{answer}");
    for (path, more) in [("/long.txt", ""), ("/long.bin", asks), ("/short.txt", asks)] {
        let (status, answer) = page(&site, path, more).await;
        assert!(status == 200 && !answer.contains("x-i2p-gzip") && answer.contains("words"), "{path}: {answer}");
    }
    let part = page(&site, "/long.txt", &format!("{asks}Range: bytes=0-1999\r\n")).await;
    assert!(part.0 == 206 && !part.1.contains("x-i2p-gzip"), "{part:?}");
}
