//! Whatever stands in a line of IRC: nothing panics, and what passes is one line still.

use bolero::check;
use ramson_protocol::irc::{Passed, from_client, from_server, to_own_server};

const ITERATIONS: usize = 20_000;

#[test]
fn fuzz_lines() {
    check!().with_iterations(ITERATIONS).for_each(|input: &[u8]| {
        let line: String = String::from_utf8_lossy(input).chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
        for head in ["", "USER ", "PRIVMSG a :\u{1}", "@a=b :c ", "PART "] {
            let line = format!("{head}{line}");
            match from_client(&line) {
                Passed::On(on) => assert!(!on.contains(['\r', '\n'])),
                Passed::Back(back) => assert!(back.starts_with("PONG")),
                Passed::Dropped => {}
            }
            from_server(&line);
            if let Some(on) = to_own_server(&line, Some("host.b32.i2p")) {
                assert!(!on.to_ascii_uppercase().starts_with("WEBIRC "));
            }
        }
    });
}
