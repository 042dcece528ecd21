//! `ramson import-tunnels`: what i2pd and Java I2P call tunnels, as `[[tunnel]]` of our configuration.
//!
//! ```text
//! tunnels.conf (and tunnels.d beside it)   [name], key = value      --.
//! i2ptunnel.config                         tunnel.N.key=value         +--> Found: name, keys, values --> Tunnel --> TOML
//! i2ptunnel.config.d/*.config              key=value                --'        what has no place becomes a comment
//! ```
//! INTEROP: keys and defaults of i2pd 2.5x and Java I2P 2.x; a number of theirs that we do not have is the nearest of ours.

mod i2pd;
mod java;

use crate::Failure;
use crate::settings::tunnel::{self, HOPS, TUNNELS, Tunnel, VARIANCE};
use ramson_protocol::base64;
use ramson_protocol::id::DestinationHash;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// The largest file that is read.
const MAX_FILE: u64 = 1 << 20;

/// A tunnel as it stands in a file of another router.
#[derive(Debug, Default)]
struct Found {
    name: String,
    values: BTreeMap<String, String>,
}

/// A tunnel of ours, or why there is none, and what could not be taken over.
#[derive(Debug, Default)]
struct Taken {
    tunnel: Option<Tunnel>,
    /// It stands in the file, and is not to begin.
    off: bool,
    notes: Vec<String>,
}

impl Found {
    fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str).filter(|text| !text.is_empty())
    }

    fn is(&self, key: &str) -> bool {
        self.get(key).is_some_and(|text| matches!(text.to_ascii_lowercase().as_str(), "true" | "1" | "yes"))
    }

    fn is_off(&self, key: &str) -> bool {
        self.get(key).is_some_and(|text| matches!(text.to_ascii_lowercase().as_str(), "false" | "0" | "no"))
    }

    /// An address and a port, of which the first is this machine unless it is said.
    fn endpoint(&self, host: &str, port: &str) -> Result<SocketAddr, String> {
        let ip = match self.get(host) {
            None | Some("localhost") => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Some(text) => text.parse().map_err(|_| format!("{host} = {text}: host names are not taken"))?,
        };
        let text = self.get(port).ok_or_else(|| format!("{port} is missing"))?;
        let port = text.parse().ok().filter(|port| *port != 0).ok_or_else(|| format!("{port} = {text} is no port"))?;
        Ok(SocketAddr::new(ip, port))
    }

    /// A number within what we have, with a note if it was another.
    fn number(&self, key: &str, within: &std::ops::RangeInclusive<usize>, notes: &mut Vec<String>) -> Option<usize> {
        let text = self.get(key)?;
        let Ok(number) = text.parse::<usize>() else {
            notes.push(format!("{key} = {text} is no number"));
            return None;
        };
        let nearest = number.clamp(*within.start(), *within.end());
        if nearest != number {
            notes.push(format!("{key} = {number} became {nearest}"));
        }
        Some(nearest)
    }

    /// Lengths and quantity.
    fn shape(&self, prefix: &str, tunnel: &mut Tunnel, notes: &mut Vec<String>) {
        let key = |rest: &str| format!("{prefix}{rest}");
        if let Some(hops) = self.number(&key("inbound.length"), &HOPS, notes) {
            tunnel.inbound_length = hops;
        }
        if let Some(hops) = self.number(&key("outbound.length"), &HOPS, notes) {
            tunnel.outbound_length = hops;
        }
        let quantities = [key("inbound.quantity"), key("outbound.quantity")];
        if let Some(most) = quantities.iter().filter_map(|key| self.number(key, &TUNNELS, notes)).max() {
            tunnel.quantity = most;
        }
        // i2pd's keys are read in lower case, Java's as they are.
        let option = |name: &str| self.get(&key(name)).or_else(|| self.get(&key(&name.to_ascii_lowercase())));
        let number = |name: &str| {
            let of = |way: &&str| option(&format!("{way}.{name}"))?.parse::<i8>().ok();
            ["inbound", "outbound"].iter().find_map(of).unwrap_or_default()
        };
        tunnel.length_variance = number("lengthVariance").clamp(*VARIANCE.start(), *VARIANCE.end());
        let backups = usize::try_from(number("backupQuantity")).unwrap_or_default();
        tunnel.backup_quantity = backups.min(TUNNELS.end() - tunnel.quantity);
        let hops = option("explicitPeers").unwrap_or_default().split(',').map(|hop| hop.trim().to_owned());
        tunnel.explicit_peers = hops.filter(|hop| !hop.is_empty()).collect();
    }
}

/// A key file, if it is there: a router makes those that it lacks, as we do with the keys that are not named.
fn key_file(folder: &Path, name: &str, notes: &mut Vec<String>) -> String {
    let path = folder.join(name);
    if path.is_file() {
        return path.to_string_lossy().into_owned();
    }
    notes.push(format!("there is no key file {}: new keys are made", path.display()));
    String::new()
}

/// Names, and hashes in base 64, as `.b32.i2p` names.
fn callers(list: &str) -> Vec<String> {
    let words = list.split([',', ' ', ';', '\n']).map(str::trim).filter(|word| !word.is_empty());
    let one = |word: &str| match base64::decode(word).map(<[u8; 32]>::try_from) {
        Some(Ok(hash)) => DestinationHash(hash).to_b32(),
        _ => word.to_owned(),
    };
    words.map(one).collect()
}

/// Prints the tunnels of these files.
///
/// # Errors
/// If a file cannot be read, or is of neither kind.
#[expect(clippy::print_stdout, reason = "it is what the command is for")]
pub(crate) fn import(paths: &[PathBuf], folder: Option<&Path>) -> Result<(), Failure> {
    let mut all = Vec::new();
    for path in paths {
        all.extend(taken_with_folders(path, folder)?);
    }
    print!("{}", written(all));
    Ok(())
}

/// The tunnels of a file and those beside it that are to run, under names that are not among `names`, and how many are not to run.
///
/// # Errors
/// If a file cannot be read, or is of neither kind.
pub(crate) fn tunnels(path: &Path, names: &mut BTreeSet<String>) -> Result<(Vec<Tunnel>, usize), Failure> {
    let (mut tunnels, mut left_out) = (Vec::new(), 0);
    for (name, Taken { tunnel, off, .. }) in taken_with_folders(path, None)? {
        let tunnel = tunnel.filter(|_| !off).map(|tunnel| Tunnel { name: free_name(&name, names), ..tunnel });
        match tunnel.filter(|tunnel| tunnel::check(std::slice::from_ref(tunnel)).is_ok()) {
            Some(tunnel) => tunnels.push(tunnel),
            // What its owner has turned off is not missed.
            None => left_out += usize::from(!off),
        }
    }
    Ok((tunnels, left_out))
}

/// What becomes of a file and those beside it, whose keys are in `folder`, or else where the file is.
fn taken_with_folders(path: &Path, folder: Option<&Path>) -> Result<Vec<(String, Taken)>, Failure> {
    let mut all = Vec::new();
    for path in with_folders(path) {
        let text = read(&path)?;
        let keys = folder.or_else(|| path.parent()).unwrap_or(Path::new("."));
        all.extend(taken(&text, keys).map_err(|error| format!("{}: {error}", path.display()))?);
    }
    Ok(all)
}

/// A file with those that a router reads beside it.
fn with_folders(path: &Path) -> Vec<PathBuf> {
    let folder = match path.file_name().and_then(|name| name.to_str()) {
        Some("tunnels.conf") => path.with_file_name("tunnels.d"),
        Some("i2ptunnel.config") => path.with_file_name("i2ptunnel.config.d"),
        _ if path.is_dir() => path.to_owned(),
        _ => return vec![path.to_owned()],
    };
    let beside = fs::read_dir(&folder).into_iter().flatten().flatten().map(|file| file.path());
    let kind = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "conf" || kind == "config");
    let mut beside: Vec<_> = beside.filter(kind).collect();
    beside.sort();
    // Where there is nothing beside it either, whoever reads it says that it is missing.
    let own = (path.is_file() || beside.is_empty() && !path.is_dir()).then(|| path.to_owned());
    own.into_iter().chain(beside).collect()
}

fn read(path: &Path) -> Result<String, Failure> {
    let failed = |error: String| format!("cannot read {}: {error}", path.display());
    let len = fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if len > MAX_FILE {
        return Err(failed("it is too large for a list of tunnels".to_owned()).into());
    }
    Ok(fs::read_to_string(path).map_err(|error| failed(error.to_string()))?)
}

/// The tunnels of one file.
///
/// # Errors
/// If it is of neither kind.
fn taken(text: &str, folder: &Path) -> Result<Vec<(String, Taken)>, String> {
    let sections = text.lines().any(|line| line.trim_start().starts_with('['));
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';']));
    let found: Vec<Found> = if sections { i2pd::parse(lines) } else { java::parse(lines) };
    if found.is_empty() && text.lines().any(|line| line.contains('=')) {
        return Err("it is neither a tunnels.conf of i2pd nor an i2ptunnel.config of Java I2P".to_owned());
    }
    let take = if sections { i2pd::take } else { java::take };
    Ok(found
        .into_iter()
        .map(|found| {
            let mut taken = Taken::default();
            match take(&found, folder, &mut taken) {
                Ok(tunnel) => taken.tunnel = Some(tunnel),
                Err(why) => taken.notes.insert(0, format!("not taken over: {why}")),
            }
            (found.name, taken)
        })
        .collect())
}

/// As they stand in our configuration.
fn written(all: Vec<(String, Taken)>) -> String {
    let (mut page, mut names) = (String::new(), BTreeSet::new());
    for (name, Taken { tunnel, off, mut notes }) in all {
        let tunnel = tunnel.map(|tunnel| Tunnel { name: free_name(&name, &mut names), ..tunnel });
        let wrong = tunnel.as_ref().and_then(|tunnel| tunnel::check(std::slice::from_ref(tunnel)).err());
        if off {
            notes.push("it was not started with the router: take the marks away to have it begin".to_owned());
        }
        notes.extend(wrong.clone());
        // Writing into a string does not fail, and a comment is one line.
        let _ = writeln!(page, "# {}", one_line(&name));
        for note in notes {
            let _ = writeln!(page, "# {}", one_line(&note));
        }
        let mark = if off || wrong.is_some() { "#" } else { "" };
        if let Some(tunnel) = tunnel {
            let _ = writeln!(page, "{mark}[[tunnel]]");
            for change in tunnel.changes(&Tunnel::default()) {
                let key = change.name.strip_prefix("tunnel.").unwrap_or(&change.name);
                let _ = writeln!(page, "{mark}{key} = {}", change.now);
            }
        }
        page.push('\n');
    }
    page
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A name of ours that nobody has yet.
fn free_name(name: &str, taken: &mut BTreeSet<String>) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let plain = Some(plain.trim_matches('-')).filter(|name| !name.is_empty()).unwrap_or("tunnel").to_owned();
    let numbered = (2..).map(|n| format!("{plain}-{n}"));
    let free = std::iter::once(plain.clone()).chain(numbered).find(|name| !taken.contains(name)).unwrap_or(plain);
    taken.insert(free.clone());
    free
}

#[cfg(test)]
mod tests;
