//! yosemite: `take` prints a destination and echoes what comes, `call DESTINATION SIZE` sends bytes and wants them back.

use std::io::{Read, Write};
use yosemite::{Session, SessionOptions, style::Stream};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let nickname = format!("yosemite-{}", arguments[1]);
    let options = SessionOptions {
        nickname,
        inbound_len: 2,
        outbound_len: 2,
        inbound_quantity: 2,
        outbound_quantity: 2,
        ..SessionOptions::default()
    };
    let mut session = Session::<Stream>::new(options)?;
    if arguments[1] == "take" {
        println!("DESTINATION {}", session.destination());
        loop {
            let mut stream = session.accept()?;
            let mut buffer = [0; 65536];
            while let Ok(len @ 1..) = stream.read(&mut buffer) {
                stream.write_all(&buffer[..len])?;
            }
        }
    }
    let sent: Vec<u8> = (0..arguments[3].parse::<usize>()?).map(|n| (n * n / 7) as u8).collect();
    let mut stream = session.connect(&arguments[2])?;
    let mut got = vec![0; sent.len()];
    stream.write_all(&sent)?;
    stream.read_exact(&mut got)?;
    println!("{}", if got == sent { "ok" } else { "other bytes" });
    Ok(())
}
