//! `ramson config check`, and the pages of the reference that are made from the sources.

use crate::Failure;
use crate::cli::Page;
use crate::exporter::reference;
use crate::reload;
use crate::settings::{Settings, page};
use std::path::Path;

/// Says what a configuration changes: each key that has not its default.
///
/// # Errors
/// What is wrong with it.
#[expect(clippy::print_stdout, reason = "it is what the command is for")]
pub(crate) fn check(config: Option<&Path>) -> Result<(), Failure> {
    let settings = Settings::load(config)?;
    // The files that it names are a part of it.
    let _ = reload::live(&settings)?;
    let changes = settings.changes(&Settings::default());
    for change in &changes {
        println!("{} = {}  # instead of {}", change.name, change.now, change.before);
    }
    if changes.is_empty() {
        println!("# every key has its default");
    }
    Ok(())
}

/// Prints a page as it is to stand in `docs/`.
///
/// # Errors
/// None: all that the page is made of is in the binary.
#[expect(clippy::print_stdout, reason = "it is what the command is for")]
#[expect(clippy::unnecessary_wraps, reason = "all commands end alike")]
pub(crate) fn doc(page: Page) -> Result<(), Failure> {
    match page {
        Page::Configuration => print!("{}", page::configuration()),
        Page::Metrics => print!("{}", reference::metrics()),
    }
    Ok(())
}
