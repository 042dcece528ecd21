//! RouterInfos that i2pd 2.59.0 and Java I2P 2.7.0 made for themselves in a private network.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use bytes::Bytes;
use ramson_protocol::data::entry::Entry;
use ramson_protocol::data::router_info::{RouterInfo, Version};
use ramson_protocol::i2np::database_store::DatabaseStore;
use ramson_protocol::netdb::rules;

const JAVA: &[u8] = include_bytes!("vectors/java_2_7_0.router_info");
const I2PD: &[u8] = include_bytes!("vectors/i2pd_2_59_0.router_info");

fn parse(raw: &'static [u8]) -> RouterInfo {
    RouterInfo::parse(Bytes::from_static(raw)).unwrap()
}

#[test]
fn they_are_read_and_their_signatures_hold() {
    for (raw, version) in [(JAVA, Version(0, 9, 64)), (I2PD, Version(0, 9, 68))] {
        let info = parse(raw);
        assert_eq!(info.verify(), Ok(()));
        assert_eq!((info.version(), info.net_id()), (version, Some(99)));
        assert!(info.encryption_key().is_some());
        assert!(info.ntcp2().any(|a| a.dialable().is_some()));
        assert_eq!(info.identity().unwrap().hash(), info.hash());
        let damaged = [&raw[..raw.len() - 1], &[raw[raw.len() - 1] ^ 1]].concat();
        assert!(RouterInfo::parse(damaged.into()).unwrap().verify().is_err());
    }
}

#[test]
fn they_survive_a_database_store() {
    for raw in [JAVA, I2PD] {
        let store = DatabaseStore::new(Entry::RouterInfo(parse(raw)));
        let again = DatabaseStore::parse(&store.to_body().unwrap()).unwrap();
        assert_eq!(again.entry.as_bytes(), raw);
        assert!(rules::is_usable_floodfill(&parse(raw)) == parse(raw).caps().floodfill);
    }
}
