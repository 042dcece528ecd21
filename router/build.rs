//! Tells the binary from which commit it was made.

#![allow(clippy::print_stdout, reason = "it is how a build script speaks")]

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=RAMSON_COMMIT");
    println!("cargo:rerun-if-changed=../.git/HEAD");
    println!("cargo:rerun-if-changed=../.git/refs/heads");
    // Packages are built where there is no repository: whoever builds them says it.
    let given = std::env::var("RAMSON_COMMIT").ok().filter(|commit| !commit.is_empty());
    let commit = given.or_else(from_git).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo:rustc-env=RAMSON_COMMIT={commit}");
}

fn from_git() -> Option<String> {
    let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
    let commit = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !commit.is_empty()).then_some(commit)
}
