//! The command line.

use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// An I2P router built to carry traffic fast.
#[derive(Debug, Parser)]
#[command(name = "ramson", version)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the node. SIGTERM drains and stops it, a second one stops it at once; SIGHUP reloads the configuration.
    Run {
        /// The configuration file; without it all keys have their defaults.
        #[arg(long)]
        config: Option<PathBuf>,
        /// The folder for keys, RouterInfo and database.
        #[arg(long, default_value_os_t = default_data())]
        data: PathBuf,
        /// Stop when standard input is closed: for a parent process that must not leave us behind.
        #[arg(long, hide = true)]
        while_stdin_is_open: bool,
    },
    /// Run a private network of routers on this machine, with a verified stream of tunnel messages through it.
    Testnet {
        /// How many routers, beside the one that sends and receives.
        #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u8).range(4..=60))]
        routers: u8,
        /// End after so many seconds; without it Ctrl-C ends the network.
        #[arg(long)]
        seconds: Option<u64>,
        /// Megabytes per second to offer.
        #[arg(long, default_value_t = 2.0)]
        rate: f64,
        /// Where the folders of the routers go; by default a temporary folder, removed at the end.
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// Show our router hash, RouterInfo file and addresses.
    Info {
        /// The data folder.
        #[arg(long, default_value_os_t = default_data())]
        data: PathBuf,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show the destinations of the data folder: their names, and by what name others reach them.
    Destinations {
        /// The data folder.
        #[arg(long, default_value_os_t = default_data())]
        data: PathBuf,
    },
    /// Take RouterInfos into the database: files, or netDb folders of i2pd, Java I2P or Ramson. The node must not run.
    Import {
        /// The data folder.
        #[arg(long, default_value_os_t = default_data())]
        data: PathBuf,
        /// Files and folders.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// The configuration file.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print a page of the reference.
    #[command(subcommand, hide = true)]
    Doc(Page),
}

/// What can be done with a configuration file.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say what is wrong with it, or what it changes: each key that has not its default.
    Check {
        /// The configuration file.
        #[arg(long)]
        config: Option<PathBuf>,
    },
}

/// The pages of `docs/` that are made from the sources.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum Page {
    /// The keys of the configuration.
    Configuration,
    /// The series of `/metrics`.
    Metrics,
}

/// `$XDG_DATA_HOME/ramson`, or `~/.local/share/ramson`, or `./ramson-data` without a home.
fn default_data() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|h| PathBuf::from(h).join(".local/share"));
    match std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).or_else(home) {
        Some(base) => base.join("ramson"),
        None => PathBuf::from("ramson-data"),
    }
}
