//! Whatever a program says to a SOCKS proxy: nothing panics, nothing grows, and what is granted was a request for a name.

use bolero::check;
use ramson_protocol::socks::{Negotiation, Out, Refusal, datagram};
use std::net::IpAddr;

const ITERATIONS: usize = 20_000;

#[test]
fn fuzz_negotiations() {
    check!().with_iterations(ITERATIONS).for_each(|input: &[u8]| {
        // Two bytes of five lead into each protocol, so that what follows is met.
        for head in [&[][..], &[5, 1, 0], &[5, 1, 2], &[4, 1, 0, 80, 0, 0, 0, 1]] {
            let mut negotiation = Negotiation::default();
            negotiation.handle_input(head);
            negotiation.handle_input(input);
            let mut over = false;
            while let Some(out) = negotiation.poll_output() {
                assert!(!over, "nothing comes after the end");
                match out {
                    Out::Write(bytes) => assert!(bytes.len() <= 10),
                    Out::Connect(request) => {
                        assert!(!request.host.is_empty() && request.host.bytes().all(|byte| byte.is_ascii_graphic()));
                        assert!(request.host.parse::<IpAddr>().is_err());
                        negotiation.refuse(Refusal::Unknown);
                    }
                    Out::Associate => negotiation.associated(([127, 0, 0, 1], 80).into()),
                    Out::Close(_) => over = true,
                }
            }
            assert!(negotiation.into_rest().len() <= head.len() + input.len());
        }
    });
}

#[test]
fn fuzz_datagrams() {
    check!().with_iterations(ITERATIONS).for_each(|input: &[u8]| {
        for head in [&[][..], &[0, 0, 0, 3]] {
            let bytes = [head, input].concat();
            if let Ok((to, payload)) = datagram::parse(&bytes) {
                assert_eq!(datagram::write(&to.host, to.port, payload), bytes);
                assert!(to.host.parse::<IpAddr>().is_err());
            }
        }
    });
}
