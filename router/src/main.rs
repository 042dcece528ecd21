//! The `ramson` binary: command line, settings, storage, metrics exporter, and the wiring of a node.

#![forbid(unsafe_code)]

mod bootstrap;
mod cli;
mod config_command;
mod data_dir;
mod exporter;
mod info;
mod log;
mod reload;
mod run;
mod settings;
mod testnet;
mod tunnels;
mod units;

use clap::Parser;
use cli::{Cli, Command, ConfigCommand};
use std::process::ExitCode;

/// What a command ends with when it fails: words for the operator.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run { config, data, while_stdin_is_open } => run::run(config.as_deref(), &data, while_stdin_is_open),
        Command::Testnet { routers, seconds, rate, dir } => testnet::run(routers, seconds, rate, dir),
        Command::Info { data, json } => info::info(&data, json),
        Command::Destinations { data } => tunnels::list(&data),
        Command::Import { data, paths } => info::import(&data, &paths),
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
