//! Whatever a program says on a SAM socket: nothing panics, nothing grows, and replies stay one line.

use bolero::check;
use ramson_protocol::pool::Wanted;
use ramson_protocol::sam::datagram::Head;
use ramson_protocol::sam::reply::{Outcome, Reply};
use ramson_protocol::sam::session::Request;
use ramson_protocol::sam::{Command, Lines, MAX_LINE, Version, params};

const ITERATIONS: usize = 20_000;

#[test]
fn fuzz_lines() {
    check!().with_iterations(ITERATIONS).for_each(|input: &[u8]| {
        let mut lines = Lines::default();
        lines.feed(input);
        while let Ok(Some(line)) = lines.next_line() {
            assert!(line.len() < MAX_LINE && !line.contains('\n'));
            let _ = Command::parse(&line);
        }
        assert!(lines.into_rest().len() <= input.len());
    });
}

#[test]
fn fuzz_sessions() {
    check!().with_iterations(ITERATIONS).for_each(|input: &[u8]| {
        let text = String::from_utf8_lossy(input);
        // Each key in turn has the input as its value, so that every one is met.
        for key in [
            "STYLE",
            "ID",
            "DESTINATION",
            "PORT",
            "HOST",
            "FROM_PORT",
            "PROTOCOL",
            "inbound.length",
            "i2cp.leaseSetEncType",
            "X",
        ] {
            let line = format!("{key}={text} STYLE=RAW ID=a DESTINATION=TRANSIENT PORT=1");
            let Ok(params) = params(&line) else { continue };
            if let Ok(request) = Request::parse(&params, Version::NEWEST, Wanted::new(3, 3)) {
                assert!((1..=7).contains(&request.inbound.length) && !request.part.id.contains(char::is_whitespace));
            }
            let _ = Version::choose(&params);
        }
        let reply = Reply::new("SESSION STATUS", Outcome::I2pError).saying(&text).line();
        assert!(reply.ends_with('\n') && reply.matches('\n').count() == 1);
    });
}

#[test]
fn fuzz_datagrams() {
    check!().with_iterations(ITERATIONS).for_each(|input: &[u8]| {
        for head in [&b""[..], b"3.0 ", b"3.3 id AAAA ", b"3.3 id AAAA\n"] {
            let bytes = [head, input].concat();
            if let Some((head, payload)) = Head::parse(&bytes) {
                assert!(bytes.ends_with(payload) && !head.id.is_empty() && !head.destination.is_empty());
            }
        }
    });
}
