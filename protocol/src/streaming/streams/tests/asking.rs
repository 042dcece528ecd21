//! Whom a stream asks for acknowledgements at once.

use super::*;

/// INTEROP: see `Stream::is_to_ask`.
#[test]
fn nobody_far_but_java_is_asked_for_acknowledgements_while_bytes_flow() {
    for (resend_delay, asked) in [(0, false), (1, true)] {
        let mut first = Packet::new(0, 7, 0);
        first.flags = flag::SYNCHRONIZE | flag::NO_ACK;
        let mut stream = Stream::accept(Config::default(), &Memory::new(usize::MAX), 8, &first, Mono::ZERO);
        stream.write(Mono::ZERO, &[7; 100_000]);
        let mut now = Duration::from_millis(50);
        let (_, answer) = stream.poll_packet(now).unwrap();
        now += Duration::from_millis(600);
        let mut heard = Packet::new(8, 7, 0);
        (heard.ack_through, heard.resend_delay) = (answer.sequence, resend_delay);
        stream.handle_packet(now, &heard);
        let mut sent = 0;
        let mut asks = false;
        for _ in 0..600 {
            now += Duration::from_millis(1);
            while let Some((_, packet)) = stream.poll_packet(now) {
                (sent, asks) = (sent + 1, asks || packet.delay == Some(0));
            }
        }
        assert!(sent > 4, "{sent}");
        assert_eq!(asks, asked, "{sent} packets");
    }
}
