#![doc = include_str!("embed.md")]
#![forbid(unsafe_code)]

mod bans;
mod bob;
mod bootstrap;
mod cli;
mod config_command;
mod control;
mod data_dir;
mod destinations;
mod doctor;
mod doors;
mod embed;
mod exporter;
mod family;
mod i2cp;
mod i2pcontrol;
mod import_tunnels;
mod info;
mod intake;
mod log;
mod name;
mod output;
mod ping;
mod platform;
mod proxy;
mod reload;
mod reseed;
mod run;
mod sam;
mod samples;
#[cfg_attr(not(unix), path = "platform/no_service.rs")]
mod service;
mod settings;
mod site;
mod start;
mod status;
mod testnet;
mod tunnels;
mod units;
mod version;
mod volume;
mod watch;

use clap::Parser;
use cli::{Cli, Command, ConfigCommand, Reseeding};
use site::{Said, Site};
use std::process::ExitCode;

pub use embed::address::{Address, AddressError};
pub use embed::datagrams::{Datagram, DatagramError, Datagrams, Kind};
pub use embed::destination::{Destination, DestinationBuilder};
pub use embed::keys::Keys;
pub use embed::node::{Node, NodeBuilder};
pub use embed::stream::{Listener, Stream};
pub use embed::{ConnectError, Error};

/// What a command ends with when it fails: words for the operator.
type Failure = Box<dyn std::error::Error>;

/// The `ramson` command: reads the arguments of the process, and does what they say.
#[doc(hidden)]
pub fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run { config, data, role, while_stdin_is_open } => {
            run::run(config.as_deref(), &data, while_stdin_is_open, Said { site: None, role })
        }
        Command::Site { directory, proxy, spa, name, config, data } => {
            let site = Some(Site { directory, proxy, spa, name });
            run::run(config.as_deref(), &data, false, Said { site, role: None })
        }
        Command::Testnet { routers, seconds, rate, dir } => testnet::run(routers, seconds, rate, dir),
        Command::Info { data, json } => info::info(&data, json),
        Command::Name { data, command } => name::run(&data, command),
        Command::Ping { whom, count, data } => ping::ping(&data, &whom, count),
        Command::Bans { data, json, what } => bans::bans(&data, json, what),
        Command::Family { name, file } => family::make(&name, &file),
        Command::Status { data, json, watch } => status::status(&data, json, watch),
        Command::Doctor { config, data } => doctor::doctor(config.as_deref(), &data),
        Command::Import { config, data, paths } => info::import(config.as_deref(), &data, &paths),
        Command::Reseed(Reseeding { command: Some(command), .. }) => reseed::command(&command),
        Command::Reseed(Reseeding { source, config, data, .. }) => {
            reseed::take(&source.unwrap_or_default(), config.as_deref(), &data)
        }
        Command::ImportTunnels { keys, paths } => import_tunnels::import(&paths, keys.as_deref()),
        Command::Destinations { data, register: Some(name), of: Some(of), .. } => tunnels::register(&data, &name, &of),
        Command::Destinations { data, json, .. } => destinations::list(&data, json),
        Command::ClientKey => {
            tunnels::client_key();
            Ok(())
        }
        Command::Config(ConfigCommand::Check { config }) => config_command::check(config.as_deref()),
        Command::Doc(page) => config_command::doc(page),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// The one place that writes to standard error without a log.
#[expect(clippy::print_stderr, reason = "the last word of a command goes to the terminal")]
fn complain(text: &str) {
    eprintln!("ramson: {text}");
}
