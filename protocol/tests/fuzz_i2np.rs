//! Arbitrary bytes against every I2NP parser: no panic, and what is taken is written and read again as the same.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use bolero::{check, produce};
use bytes::Bytes;
use ramson_protocol::i2np::database_lookup::{DatabaseLookup, LookupKind, ReplyEncryption};
use ramson_protocol::i2np::database_search_reply::DatabaseSearchReply;
use ramson_protocol::i2np::database_store::DatabaseStore;
use ramson_protocol::i2np::delivery_status::DeliveryStatus;
use ramson_protocol::i2np::tunnel_build::BuildRecords;
use ramson_protocol::i2np::tunnel_gateway::TunnelGateway;
use ramson_protocol::i2np::{Message, MessageType, data, garlic};
use ramson_protocol::id::{NetDbKey, RouterHash, TunnelId};

const ITERATIONS: usize = 20_000;

#[test]
fn fuzz_headers() {
    check!().with_iterations(ITERATIONS).for_each(|input: &[u8]| {
        let bytes = Bytes::copy_from_slice(input);
        if let Ok(message) = Message::from_std(&bytes) {
            assert_eq!(Message::from_std(&message.to_std().unwrap().into()), Ok(message));
        }
        if let Ok(message) = Message::from_short(&bytes) {
            assert_eq!(message.to_short().unwrap(), bytes);
        }
    });
}

/// A lookup and a store, so that flags and counts are met where they matter.
#[test]
fn fuzz_damaged_lookups_and_stores() {
    let lookup = DatabaseLookup {
        key: NetDbKey([1; 32]),
        from: RouterHash([2; 32]),
        reply_tunnel: Some(TunnelId(3)),
        kind: LookupKind::LeaseSet,
        exclude: vec![RouterHash([4; 32]); 3],
        encryption: ReplyEncryption::Ecies { key: [5; 32], tag: [6; 8] },
    };
    let lookup = lookup.to_body();
    check!().with_iterations(ITERATIONS).with_type::<(Vec<(u16, u8)>, Option<u8>)>().for_each(|(changes, cut)| {
        let mut body = lookup.clone();
        // Half of the changes fall on flags, counts and what follows them.
        for (at, value) in changes.iter().take(4) {
            let at = if at % 2 == 0 { 64 + usize::from(*at) % 8 } else { usize::from(*at) % body.len() };
            body[at] = *value;
        }
        body.truncate(cut.map_or(body.len(), usize::from));
        if let Ok(m) = DatabaseLookup::parse(&body) {
            assert_eq!(DatabaseLookup::parse(&m.to_body()), Ok(m));
        }
        let _ = DatabaseStore::parse(&body.into());
    });
}

#[test]
fn fuzz_bodies() {
    let bytes = produce::<Vec<u8>>().with().len(0usize..2200);
    check!().with_iterations(ITERATIONS).with_generator(bytes).for_each(|input| {
        let body = Bytes::copy_from_slice(input);
        if let Ok(m) = DatabaseLookup::parse(input) {
            assert_eq!(DatabaseLookup::parse(&m.to_body()), Ok(m));
        }
        if let Ok(m) = DatabaseSearchReply::parse(input) {
            assert_eq!(DatabaseSearchReply::parse(&m.to_body()), Ok(m));
        }
        if let Ok(m) = DatabaseStore::parse(&body) {
            assert_eq!(DatabaseStore::parse(&m.to_body().unwrap()), Ok(m));
        }
        if let Ok(m) = DeliveryStatus::parse(input) {
            assert_eq!(DeliveryStatus::parse(&m.to_body()), Ok(m));
        }
        let _ = (garlic::parse(&body), data::parse(&body), TunnelGateway::parse(&body));
        for code in 21..=26 {
            let kind = MessageType::from_code(code);
            if let Ok(records) = BuildRecords::parse(kind, input) {
                assert_eq!(&records.to_body(kind).unwrap(), input);
            }
        }
    });
}
