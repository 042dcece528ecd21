//! The `ramson` command. All of it stands in the library, which programs can have inside of them.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    ramson::main()
}
