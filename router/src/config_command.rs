//! `ramson config check`, and the pages of the reference that are made from the sources.

use crate::Failure;
use crate::cli::{Cli, Page};
use crate::exporter::reference;
use crate::output::say;
use crate::reload;
use crate::settings::{Settings, page};
use clap::CommandFactory;
use clap_complete::Shell;
use std::path::Path;

/// Says what a configuration changes: each key that has not its default.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check(config: Option<&Path>) -> Result<(), Failure> {
    let settings = Settings::load(config)?;
    // The files that it names are a part of it.
    let _ = reload::live(&settings)?;
    let changes = settings.changes(&Settings::default());
    let mut text = String::new();
    for change in &changes {
        text += &format!("{} = {}  # instead of {}\n", change.name, change.now, change.before);
    }
    if changes.is_empty() {
        text += "# every key has its default\n";
    }
    Ok(say(&text)?)
}

/// Writes a manual page for each command, with what is the same for all of them behind it.
fn man(folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
    clap_mangen::generate_to(Cli::command(), folder)
        .map_err(|e| format!("cannot write manual pages to {}: {e}", folder.display()))?;
    Ok(())
}

fn completions(shell: Shell) -> String {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "ramson", &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// Prints a page as it is to stand in `docs/`.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn doc(page: Page) -> Result<(), Failure> {
    let text = match page {
        Page::Configuration => page::configuration(),
        Page::Example => page::example(),
        Page::Metrics => reference::metrics(),
        Page::Man { folder } => return man(&folder),
        Page::Completions { shell } => completions(shell),
    };
    Ok(say(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_manual_page_and_completions() {
        let folder = tempfile::tempdir().unwrap();
        man(folder.path()).unwrap();
        for name in ["ramson.1", "ramson-run.1", "ramson-reseed.1", "ramson-config.1"] {
            let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
            assert!(text.contains(".SH NAME"), "{name}: {text}");
        }
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            assert!(completions(shell).contains("reseed"), "{shell}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
