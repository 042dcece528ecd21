//! Two programs share a folder: `share DATA FOLDER`, and on another machine `share DATA FOLDER ADDRESS` with the address that the first
//! one prints. Each fetches from the other what it does not have.
//!
//! ```text
//! caller: LIST\n            <- NAME LENGTH\n .. \n
//!         GET NAME\n        <- LENGTH\n bytes
//! ```
//! Who is called learns the address of the caller from his stream, and fetches from him in turn: so one address is enough for both.
//! With `--private` it makes a network of its own in this process, with two nodes and two folders.

#![allow(clippy::print_stdout, reason = "an example speaks with its user")]

mod private;

use ramson::{Address, Destination, Keys, Listener, Node, Stream};
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The longest line, and the longest list of a peer that is read.
const MAX_LINE: u64 = 4096;
const MAX_FILES: usize = 10_000;

/// The largest file that is fetched.
const MAX_FILE: u64 = 1 << 30;

/// A peer is asked again after this.
const PAUSE: Duration = Duration::from_secs(5);

/// Files of a folder with their lengths. What has a name that no line can carry is not shared.
fn files(folder: &Path) -> io::Result<Vec<(String, u64)>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if let (Ok(name), true) = (entry.file_name().into_string(), entry.file_type()?.is_file())
            && is_name(&name)
        {
            all.push((name, entry.metadata()?.len()));
        }
    }
    Ok(all)
}

/// True for a name of a file in a folder, and of nothing else. Parts of files that are still on their way begin with a dot.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && name.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c))
}

/// Answers one question of a peer.
async fn answer(stream: &mut BufReader<Stream>, folder: &Path) -> Outcome<()> {
    let mut line = String::new();
    (&mut *stream).take(MAX_LINE).read_line(&mut line).await?;
    match line.trim_end().split_once(' ').unwrap_or((line.trim_end(), "")) {
        ("LIST", _) => {
            let mut list: String = files(folder)?.iter().map(|(name, length)| format!("{name} {length}\n")).collect();
            list.push('\n');
            stream.write_all(list.as_bytes()).await?;
        }
        ("GET", name) if is_name(name) => {
            let content = std::fs::read(folder.join(name))?;
            stream.write_all(format!("{}\n", content.len()).as_bytes()).await?;
            stream.write_all(&content).await?;
        }
        _ => return Err("a peer asks for what we do not know".into()),
    }
    Ok(stream.shutdown().await?)
}

/// Serves all who call, and tells who they are.
async fn serve(mut listener: Listener, folder: PathBuf, callers: mpsc::Sender<Address>) {
    while let Some(stream) = listener.accept().await {
        // One who has called before is known.
        let _ = callers.try_send(stream.remote());
        let folder = folder.clone();
        tokio::spawn(async move {
            if let Err(error) = answer(&mut BufReader::new(stream), &folder).await {
                println!("a peer was not served: {error}");
            }
        });
    }
}

/// Fetches from a peer what we do not have; tells how many files that were.
async fn fetch(us: &Destination, peer: Address, folder: &Path) -> Outcome<usize> {
    let ask = async |question: String| -> Outcome<BufReader<Stream>> {
        let mut stream = us.connect(peer, 0).await?;
        stream.write_all(question.as_bytes()).await?;
        Ok(BufReader::new(stream))
    };
    let mut list = ask("LIST\n".to_owned()).await?;
    let mut fetched = 0;
    for _ in 0..MAX_FILES {
        let mut line = String::new();
        (&mut list).take(MAX_LINE).read_line(&mut line).await?;
        let Some((name, _)) = line.trim_end().split_once(' ') else { return Ok(fetched) };
        if !is_name(name) || folder.join(name).exists() {
            continue;
        }
        let mut file = ask(format!("GET {name}\n")).await?;
        let mut length = String::new();
        (&mut file).take(MAX_LINE).read_line(&mut length).await?;
        let length: Option<u64> = length.trim_end().parse().ok();
        let length = length.filter(|length| *length <= MAX_FILE).ok_or("no length")?;
        let part = folder.join(format!(".{name}.part"));
        let mut to = std::fs::File::create(&part)?;
        let (mut left, mut chunk) = (length, vec![0; 1 << 16]);
        while left > 0 {
            let most = chunk.len().min(usize::try_from(left)?);
            let len = file.read(&mut chunk[..most]).await?;
            if len == 0 {
                return Err("a peer has ended in the middle of a file".into());
            }
            io::Write::write_all(&mut to, &chunk[..len])?;
            left -= len as u64;
        }
        std::fs::rename(part, folder.join(name))?;
        println!("fetched {name}, {length} bytes");
        fetched += 1;
    }
    Ok(fetched)
}

/// Shares a folder with everybody who calls, and with `peer`, for as long as it is let.
async fn share(us: Destination, folder: PathBuf, peer: Option<Address>) -> Outcome<()> {
    let (callers, mut called) = mpsc::channel(16);
    tokio::spawn(serve(us.listen().ok_or("listened already")?, folder.clone(), callers));
    let mut peers: Vec<Address> = peer.into_iter().collect();
    loop {
        for peer in &peers {
            if let Err(error) = fetch(&us, *peer, &folder).await {
                println!("a peer could not be asked: {error}");
            }
        }
        tokio::time::sleep(PAUSE).await;
        while let Ok(caller) = called.try_recv() {
            if !peers.contains(&caller) {
                peers.push(caller);
            }
        }
    }
}

/// Two nodes of this process, until each has what the other had.
async fn try_it() -> Outcome<()> {
    let (network, nodes) = private::Network::start::<2>().await.map_err(|error| error.to_string())?;
    let folders = [tempfile::tempdir()?, tempfile::tempdir()?];
    let contents: [Vec<u8>; 2] = [vec![1; 300_000], (0..500_000).map(|n: u32| n as u8).collect()];
    let mut peer = None;
    for (n, node) in nodes.iter().enumerate() {
        std::fs::write(folders[n].path().join(format!("of-{n}")), &contents[n])?;
        let us = node.destination().length(2).open().await?;
        let known = peer.replace(us.address());
        tokio::spawn(share(us, folders[n].path().to_owned(), known));
    }
    let whole = |n: usize, of: usize| {
        std::fs::read(folders[n].path().join(format!("of-{of}"))).is_ok_and(|content| content == contents[of])
    };
    let both = async {
        while !(whole(0, 1) && whole(1, 0)) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), both).await.map_err(|_| "the folders are not shared in time")?;
    println!("both have all");
    for node in &nodes {
        node.stop().await?;
    }
    network.stop().await.map_err(|error| error.to_string().into())
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (data, folder, peer) = match &arguments[..] {
        [private] if private == "--private" => return try_it().await,
        [data, folder] => (data, folder, None),
        [data, folder, peer] => (data, folder, Some(peer.parse()?)),
        _ => return Err("share DATA FOLDER [ADDRESS], or share --private".into()),
    };
    let node = Node::builder(data).start().await?;
    node.ready().await?;
    let us = node.destination().keys(Keys::kept(Path::new(data).join("share.dat"))?).open().await?;
    println!("{}", us.address());
    tokio::select! {
        shared = share(us, folder.into(), peer) => shared,
        ended = node.ended() => Ok(ended?),
    }
}
