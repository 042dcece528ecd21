//! `ramson name`: the address book from the command line.

use crate::Failure;
use crate::control::{self, Request};
use crate::data_dir::{DataDir, DataError};
use clap::Subcommand;
use ramson_apps::names::book::{Book, Report, Shelf};
use ramson_apps::names::entry::{Entry, destination, property};
use ramson_apps::names::{HostName, blockfile, i2pd};
use ramson_protocol::b32::B32;
use ramson_protocol::base64;
use ramson_transports::clock::Clock;
use serde::{Deserialize, Serialize};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

/// What can be done with names.
#[derive(Clone, Debug, Subcommand, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum NameCommand {
    /// Say which destination a name has, or which names an address in base 32 has.
    Lookup {
        /// `example.i2p`, or an address that ends with `.b32.i2p`.
        name: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// List the names of a book.
    List {
        /// Which book; all of them without it.
        #[arg(long)]
        book: Option<BookName>,
        /// As JSON, a line for each name.
        #[arg(long)]
        json: bool,
    },
    /// Enter a name.
    Add {
        /// The name.
        name: String,
        /// The destination, in I2P's base 64.
        destination: String,
        /// Into which book: names in `private` are never given to others.
        #[arg(long, default_value = "user")]
        book: BookName,
        /// Take the place of another destination of this name.
        #[arg(long)]
        replace: bool,
    },
    /// Take a name out.
    Remove {
        /// The name.
        name: String,
        /// Out of which book.
        #[arg(long, default_value = "user")]
        book: BookName,
    },
    /// Take names over: a hosts.txt, i2pd's folder `addressbook`, or Java I2P's `hostsdb.blockfile`.
    Import {
        /// Files and folders.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Write the names of the books `user` and `hosts` to standard output as a hosts.txt, to be published.
    Export,
    /// Show what lists said of names that have another destination.
    Conflicts,
}

/// A book, as the user names it.
#[derive(Clone, Copy, Debug, clap::ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BookName {
    /// Names of the user's own.
    Private,
    /// Names that the user has entered.
    User,
    /// Names out of lists.
    Hosts,
}

impl From<BookName> for Shelf {
    fn from(name: BookName) -> Self {
        match name {
            BookName::Private => Self::Private,
            BookName::User => Self::User,
            BookName::Hosts => Self::Hosts,
        }
    }
}

/// Runs a command on the address book in the data folder: by the router that runs with it, if one does.
///
/// # Errors
/// In words for the user.
pub(crate) fn run(folder: &Path, command: NameCommand) -> Result<(), Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    let done = match DataDir::open(folder) {
        Ok(data) => {
            Book::open(&data.names_path()).map_err(Into::into).and_then(|book| perform(&book, &mut out, command))
        }
        Err(DataError::InUse(_)) => {
            let answer = control::ask(folder, &Request::Name { what: absolute(command) })?;
            Ok(out.write_all(answer.as_str().unwrap_or_default().as_bytes())?)
        }
        Err(error) => return Err(error.into()),
    };
    match done.and_then(|()| Ok(out.flush()?)) {
        // Whoever reads has seen enough.
        Err(e) if e.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) => Ok(()),
        other => other,
    }
}

/// The same command for a router with another working folder.
fn absolute(command: NameCommand) -> NameCommand {
    match command {
        NameCommand::Import { paths } => {
            let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
            NameCommand::Import { paths: paths.into_iter().map(absolute).collect() }
        }
        other => other,
    }
}

/// Does what a command wants with a book.
///
/// # Errors
/// In words for the user.
pub(crate) fn perform(book: &Book, out: &mut impl Write, command: NameCommand) -> Result<(), Failure> {
    match command {
        NameCommand::Lookup { name, json } => lookup(book, out, &name, json),
        NameCommand::List { book: shelf, json } => {
            let shelves = shelf.map_or(Shelf::ALL.to_vec(), |shelf| vec![shelf.into()]);
            shelves.into_iter().try_for_each(|shelf| list(book, out, shelf, json))
        }
        NameCommand::Add { name, destination: text, book: shelf, replace } => {
            let name = host_name(&name)?;
            let destination = destination(&text)
                .map_err(|e| format!("the destination of {name} is not whole, or no base 64 of I2P ({e})"))?;
            Ok(book.add(shelf.into(), &name, destination, replace, Clock::system())?)
        }
        NameCommand::Remove { name, book: shelf } => {
            let name = host_name(&name)?;
            let shelf = Shelf::from(shelf);
            if !book.remove(shelf, &name)? {
                return Err(format!("{name} is not in the book `{}`", shelf.label()).into());
            }
            Ok(())
        }
        NameCommand::Import { paths } => paths.iter().try_for_each(|path| import(book, out, path)),
        NameCommand::Export => export(book, out),
        NameCommand::Conflicts => conflicts(book, out),
    }
}

fn host_name(text: &str) -> Result<HostName, Failure> {
    HostName::parse(text).map_err(|e| format!("{text:?} cannot be a name: {e}").into())
}

fn lookup(book: &Book, out: &mut impl Write, text: &str, json: bool) -> Result<(), Failure> {
    if text.to_ascii_lowercase().ends_with(ramson_protocol::b32::SUFFIX) {
        let address = B32::parse(text).map_err(|e| format!("{text:?} is no address: {e}"))?;
        let names = match &address {
            B32::Hash(hash) => book.names_of(*hash)?,
            B32::Blinded(_) => Vec::new(),
        };
        if json {
            let names: Vec<_> = names.iter().map(HostName::as_str).collect();
            writeln!(out, "{}", serde_json::json!({ "address": address.to_string(), "names": names }))?;
        } else {
            names.iter().try_for_each(|name| writeln!(out, "{name}"))?;
        }
        return Ok(());
    }
    let name = host_name(text)?;
    let Some((shelf, entry)) = book.lookup(&name)? else {
        return Err(
            format!("{name} is not known: `ramson name import` a list that has it, or `ramson name add` it").into()
        );
    };
    if json {
        writeln!(out, "{}", as_json(shelf, &name, &entry))?;
    } else {
        writeln!(out, "destination  {}", base64::encode(entry.destination().as_bytes()))?;
        writeln!(out, "address      {}", entry.destination().hash().to_b32())?;
        writeln!(out, "book         {}", shelf.label())?;
        if let Some(source) = entry.properties().get(property::SOURCE) {
            writeln!(out, "source       {source}")?;
        }
    }
    Ok(())
}

fn as_json(shelf: Shelf, name: &HostName, entry: &Entry) -> serde_json::Value {
    let number = |key| entry.properties().get(key).and_then(|text| text.parse::<u64>().ok());
    serde_json::json!({
        "name": name.as_str(),
        "address": entry.destination().hash().to_b32(),
        "destination": base64::encode(entry.destination().as_bytes()),
        "others": entry.destinations().skip(1).map(|one| one.hash().to_b32()).collect::<Vec<_>>(),
        "book": shelf.label(),
        "source": entry.properties().get(property::SOURCE),
        "verified": entry.properties().get(property::VERIFIED) == Some("true"),
        "added_ms": number(property::ADDED),
        "modified_ms": number(property::MODIFIED),
    })
}

fn list(book: &Book, out: &mut impl Write, shelf: Shelf, json: bool) -> Result<(), Failure> {
    let mut failed = Ok(());
    book.walk(shelf, "", |name, entry| {
        failed = if json {
            writeln!(out, "{}", as_json(shelf, &name, &entry))
        } else {
            writeln!(out, "{:<8} {} {name}", shelf.label(), entry.destination().hash().to_b32())
        };
        failed.is_ok()
    })?;
    Ok(failed?)
}

fn import(book: &Book, out: &mut impl Write, path: &Path) -> Result<(), Failure> {
    let source = path.display().to_string();
    let fail = |e: &dyn std::fmt::Display| -> Failure { format!("cannot take names from {source}: {e}").into() };
    if path.is_dir() {
        let found = i2pd::read(path).map_err(|e| fail(&format!("{e} (of i2pd it is the folder `addressbook`)")))?;
        tell(out, &source, Shelf::Hosts, &book.merge(Shelf::Hosts, found.entries, "i2pd")?)?;
        if found.passed_over > 0 {
            writeln!(out, "{source}: {} names without an identity in the folder were passed over", found.passed_over)?;
        }
        return Ok(());
    }
    if path.extension().is_some_and(|kind| kind == "blockfile") {
        let found = blockfile::read(path).map_err(|e| fail(&e))?;
        for shelf in Shelf::ALL {
            let ours = found.entries.iter().filter(|(of, ..)| *of == shelf);
            let ours = ours.map(|(_, name, entry)| (name.clone(), entry.clone()));
            tell(out, &source, shelf, &book.merge(shelf, ours, &source)?)?;
        }
        if found.passed_over > 0 {
            writeln!(out, "{source}: {} names that break a rule were passed over", found.passed_over)?;
        }
        return Ok(());
    }
    let file = std::fs::File::open(path).map_err(|e| fail(&e))?;
    let report = book.read_list(BufReader::new(file), &source, Clock::system()).map_err(|e| fail(&e))?;
    if report.is_empty() {
        return Err(fail(&"there is no name in it; a line is name.i2p=DESTINATION"));
    }
    tell(out, &source, Shelf::Hosts, &report)
}

fn tell(out: &mut impl Write, source: &str, shelf: Shelf, report: &Report) -> Result<(), Failure> {
    if !report.is_empty() {
        let counts: Vec<String> = report.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
        writeln!(out, "{source}: book `{}`: {}", shelf.label(), counts.join(", "))?;
    }
    Ok(())
}

fn export(book: &Book, out: &mut impl Write) -> Result<(), Failure> {
    for shelf in [Shelf::User, Shelf::Hosts] {
        let mut failed = Ok(());
        book.walk(shelf, "", |name, entry| {
            // A name that is in both is the user's.
            let first = book.lookup_public(&name).ok().flatten();
            if first.is_some_and(|(at, _)| at == shelf) {
                failed = writeln!(out, "{name}={}", base64::encode(entry.destination().as_bytes()));
            }
            failed.is_ok()
        })?;
        failed?;
    }
    Ok(())
}

fn conflicts(book: &Book, out: &mut impl Write) -> Result<(), Failure> {
    for (name, source, said) in book.conflicts()? {
        let ours = book.lookup(&name)?.map_or_else(String::new, |(_, entry)| entry.destination().hash().to_b32());
        writeln!(out, "{name}: {source} says {}, ours is {ours}", said.destination().hash().to_b32())?;
    }
    Ok(())
}
