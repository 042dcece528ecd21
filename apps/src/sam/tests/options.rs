//! Types of keys, encrypted LeaseSets and records in them.

use super::*;
use ramson_protocol::blinding::Blinding;

/// The address with a key of a destination in base 64.
fn blinded(destination: &str) -> String {
    let destination = Destination::from_bytes(base64::decode(destination).unwrap().into()).unwrap();
    B32::Blinded(Blinding::of(&destination, &[]).unwrap().address(false)).to_string()
}

#[tokio::test]
async fn an_address_with_a_key_leads_to_streams_and_datagrams_and_is_looked_up() {
    let bench = Bench::new().await;
    let (_a, _) = bench.session("a", "").await;
    let (mut b, to) = bench.session("b", "i2cp.leaseSetType=5").await;
    let name = blinded(&to);
    let found = format!("NAMING REPLY RESULT=OK NAME={name} VALUE={to}");
    assert_eq!(bench.program().await.ask(&format!("NAMING LOOKUP NAME={name}")).await, found);
    assert_eq!(b.ask(&format!("NAMING LOOKUP NAME={name}")).await, found, "its own");
    let mut acceptor = bench.program().await;
    assert_eq!(acceptor.ask("STREAM ACCEPT ID=b").await, "STREAM STATUS RESULT=OK");
    let mut caller = bench.program().await;
    assert_eq!(caller.ask(&format!("STREAM CONNECT ID=a DESTINATION={name}")).await, "STREAM STATUS RESULT=OK");
    let nobody = blinded(&base64::encode(bench.book.destination.as_bytes()));
    let unknown = bench.program().await.ask(&format!("STREAM CONNECT ID=a DESTINATION={nobody}")).await;
    assert_eq!(unknown, "STREAM STATUS RESULT=CANT_REACH_PEER MESSAGE=\"LeaseSet not found\"");
    // Twice: the second time it is known.
    let (mut d, from) = bench.styled("DATAGRAM", "d", "").await;
    let (mut e, to) = bench.styled("DATAGRAM", "e", "i2cp.leaseSetType=5").await;
    for text in ["one", "two"] {
        d.tell(&format!("DATAGRAM SEND DESTINATION={} SIZE=3\n{text}", blinded(&to))).await;
        assert!(e.line().await.starts_with(&format!("DATAGRAM RECEIVED DESTINATION={from} SIZE=3")));
        e.expect(text.as_bytes()).await;
    }
}

#[tokio::test]
async fn a_lease_set_for_certain_readers_is_read_with_their_key_alone() {
    let bench = Bench::new().await;
    let key = base64::encode(&[7; 32]);
    let options = format!("i2cp.leaseSetType=5 i2cp.leaseSetAuthType=2 i2cp.leaseSetClient.psk.0=x:{key}");
    let (_a, to) = bench.session("a", &options).await;
    let (_b, _) = bench.session("b", "").await;
    let (_c, _) = bench.session("c", &format!("i2cp.leaseSetPrivKey={key}")).await;
    for (id, outcome) in [("b", "CANT_REACH_PEER"), ("c", "OK")] {
        let line = format!("STREAM CONNECT ID={id} DESTINATION={}", blinded(&to));
        let reply = bench.program().await.ask(&line).await;
        assert!(reply.starts_with(&format!("STREAM STATUS RESULT={outcome}")), "{id}: {reply}");
    }
    let reply = bench.program().await.ask(&format!("NAMING LOOKUP NAME={}", blinded(&to))).await;
    assert!(reply.starts_with("NAMING REPLY RESULT=INVALID_KEY"), "{reply}");
}

#[tokio::test]
async fn records_of_a_lease_set_are_told_to_those_who_ask() {
    let bench = Bench::new().await;
    let (_a, to) = bench.session("a", "i2cp.leaseSetOption.0=\"_smtp._tcp=1 25 x\"").await;
    let (_b, plain) = bench.session("b", "").await;
    let mut program = bench.program().await;
    let asked = program.ask(&format!("NAMING LOOKUP NAME={to} OPTIONS=true")).await;
    assert_eq!(asked, format!("NAMING REPLY RESULT=OK NAME={to} VALUE={to} OPTION:_smtp._tcp=\"1 25 x\""));
    let asked = program.ask(&format!("NAMING LOOKUP NAME={plain} OPTIONS=true")).await;
    assert_eq!(asked, format!("NAMING REPLY RESULT=OK NAME={plain} VALUE={plain}"));
    let asked = program.ask("NAMING LOOKUP NAME=site.i2p OPTIONS=true").await;
    assert!(asked.starts_with("NAMING REPLY RESULT=LEASESET_NOT_FOUND NAME=site.i2p "), "{asked}");
}

#[tokio::test]
async fn sessions_and_keys_are_of_the_type_that_is_asked_for() {
    let bench = Bench::new().await;
    for kind in [1, 2, 3, 7, 11] {
        let mut program = bench.program().await;
        let made = program.ask(&format!("DEST GENERATE SIGNATURE_TYPE={kind}")).await;
        let keys = made.split("PRIV=").nth(1).unwrap().to_owned();
        let session = program.ask(&format!("SESSION CREATE STYLE=STREAM ID=k{kind} DESTINATION={keys}")).await;
        assert_eq!(session, format!("SESSION STATUS RESULT=OK DESTINATION={keys}"));
        let mut other = bench.program().await;
        let line = format!("SESSION CREATE STYLE=STREAM ID=t{kind} DESTINATION=TRANSIENT SIGNATURE_TYPE={kind}");
        let reply = other.ask(&line).await;
        let keys = reply.strip_prefix("SESSION STATUS RESULT=OK DESTINATION=").unwrap();
        let keys = PrivateKeys::parse(&base64::decode(keys).unwrap()).unwrap();
        assert_eq!(keys.destination.signing_type().code(), kind);
    }
    let refused = bench.program().await.ask("DEST GENERATE SIGNATURE_TYPE=0").await;
    assert!(refused.starts_with("DEST REPLY RESULT=I2P_ERROR"), "{refused}");
}
