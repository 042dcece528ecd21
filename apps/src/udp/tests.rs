//! Two destinations whose datagrams reach each other at once.

use super::*;
use crate::names::Names;
use crate::services::Access;
use crate::tunnel::Remote;
use ramson_protocol::data::private_keys::PrivateKeys;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// Two of them, each of which sends to the other; and who they are.
fn pair() -> ([Datagrams; 2], [DestinationHash; 2]) {
    let signers = [1, 2].map(|seed| PrivateKeys::generate([seed; 32], &[seed; 32]));
    let hashes = [0, 1].map(|n: usize| signers[n].destination.hash());
    let (to_a, for_a) = mpsc::channel(64);
    let (to_b, for_b) = mpsc::channel(64);
    let [a, b] = signers;
    let wire = |to: mpsc::Sender<Datagram>, us: DestinationHash| {
        move |datagram: Datagram| to.try_send(Datagram { peer: Some(us), ..datagram }).is_ok()
    };
    let a = Datagrams::new(a, wire(to_b, hashes[0]));
    let b = Datagrams::new(b, wire(to_a, hashes[1]));
    tokio::spawn(a.clone().serve(for_a));
    tokio::spawn(b.clone().serve(for_b));
    ([a, b], hashes)
}

fn names() -> (tempfile::TempDir, Names) {
    let folder = tempfile::tempdir().unwrap();
    let names = Names::new(folder.path().join("names"));
    (folder, names)
}

async fn socket() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = socket.local_addr().unwrap();
    (socket, at)
}

async fn hear(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 2000];
    let (len, from) = timeout(Duration::from_secs(10), socket.recv_from(&mut buffer)).await.unwrap().unwrap();
    (buffer[..len].to_vec(), from)
}

#[tokio::test]
async fn datagrams_of_programs_reach_a_program_and_answers_come_back_to_each() {
    for kind in [Kind::One, Kind::Two, Kind::Three] {
        let ([client, server], [us, them]) = pair();
        let (_folder, names) = names();
        let (program, target) = socket().await;
        let (listen, at) = socket().await;
        tokio::spawn(client::run(listen, client, names, client::Config { remote: Remote::Hash(them), port: 53, kind }));
        let config = server::Config { target, port: 53, access: Access::Only([us].into()), unique_local: true };
        tokio::spawn(server::run(server, config));
        let ([one, _], [other, _]) = ([socket().await.0, socket().await.0], [socket().await.0, socket().await.0]);
        // The server listens after a moment, and what comes before is lost.
        let mut heard = None;
        while heard.is_none() {
            one.send_to(b"one", at).await.unwrap();
            heard = timeout(Duration::from_millis(200), hear(&program)).await.ok();
        }
        let (_, from_one) = heard.unwrap();
        other.send_to(b"other", at).await.unwrap();
        let from_other = loop {
            let (words, from) = hear(&program).await;
            if words == b"other" {
                break from;
            }
        };
        assert_ne!(from_one, from_other, "each has a socket of its own");
        program.send_to(b"to one", from_one).await.unwrap();
        program.send_to(b"to other", from_other).await.unwrap();
        assert_eq!(hear(&one).await.0, b"to one", "{kind:?}");
        assert_eq!(hear(&other).await.0, b"to other", "{kind:?}");
    }
}

#[tokio::test]
async fn what_says_to_be_from_another_is_not_taken() {
    let ([a, b], [us, them]) = pair();
    let mut taken = b.take(7);
    let ports = Ports { from: 1, to: 7 };
    let forged = Claimed { from: them, payload: Bytes::from_static(b"forged") }.to_bytes();
    (a.0.send)(Datagram { peer: Some(them), ports, protocol: DATAGRAM3, content: forged.into() });
    a.send(them, ports, &Form::Named(Kind::Three, MappingBuf::new()), Bytes::from_static(b"honest"));
    let first = taken.recv().await.unwrap();
    assert_eq!((first.from, &first.payload[..]), (Some(us), &b"honest"[..]));
}

#[tokio::test]
async fn who_listens_to_a_source_hears_it_until_he_leaves() {
    let ([listener, source], [_, them]) = pair();
    let (_folder, names) = names();
    let (program, program_at) = socket().await;
    let (listen, source_at) = socket().await;
    tokio::spawn(streamr::serve(listen, source, 0, Access::All));
    let listening = tokio::spawn(streamr::listen(program_at, listener, names, Remote::Hash(them), 0));
    let (speaker, _) = socket().await;
    let mut heard = Vec::new();
    while heard.is_empty() {
        speaker.send_to(b"music", source_at).await.unwrap();
        heard = timeout(Duration::from_millis(200), hear(&program)).await.map(|(words, _)| words).unwrap_or_default();
    }
    assert_eq!(heard, b"music");
    listening.abort();
    let _ = listening.await;
    loop {
        speaker.send_to(b"more", source_at).await.unwrap();
        // What was on its way may still come.
        if timeout(Duration::from_millis(300), hear(&program)).await.is_err() {
            break;
        }
    }
}

#[test]
fn a_port_has_one_owner_and_what_is_for_nobody_goes_to_the_first() {
    let us = PrivateKeys::generate([1; 32], &[2; 32]);
    let datagrams = Datagrams::new(us, |_| true);
    let (to, _received) = mpsc::channel(1);
    assert_eq!(datagrams.claim(5000, &to), Some(5000));
    let other = datagrams.claim(5000, &to).unwrap();
    assert_ne!(other, 5000);
    datagrams.release(5000);
    assert_eq!(datagrams.claim(5000, &to), Some(5000));
    assert!(datagrams.find(9).is_none());
    let first = datagrams.take(53);
    let second = datagrams.take(54);
    let owner = |port| datagrams.find(port).map(|to| to.same_channel(&datagrams.0.takers.lock().rest[0]));
    assert_eq!([owner(53), owner(54), owner(9)], [Some(true), Some(false), Some(true)]);
    drop((first, second));
    assert!(datagrams.find(9).is_none());
}

#[tokio::test]
async fn one_who_floods_from_many_ports_has_no_more_sockets_than_he_may_and_others_keep_theirs() {
    let [flooder, honest] = [8, 9].map(|n| DestinationHash([n; 32]));
    let (program, target) = socket().await;
    let (answered, mut answers) = mpsc::channel(16);
    let server = Datagrams::new(PrivateKeys::generate([2; 32], &[2; 32]), move |datagram: Datagram| {
        answered.try_send((datagram.peer, datagram.ports.to)).is_ok()
    });
    let (to_server, comes) = mpsc::channel(64);
    let config = server::Config { target, port: 53, access: Access::All, unique_local: false };
    tokio::spawn(server::run(server.clone(), config));
    tokio::spawn(server.serve(comes));
    let send = async |who: DestinationHash, from: u16, words: &'static [u8]| {
        let content = Claimed { from: who, payload: Bytes::from_static(words) }.to_bytes().into();
        let datagram = Datagram { peer: Some(who), ports: Ports { from, to: 53 }, protocol: DATAGRAM3, content };
        to_server.send(datagram).await.unwrap();
    };
    let place = async |who: DestinationHash, from: u16, words: &'static [u8]| loop {
        // The server listens after a moment, and what comes before is lost.
        send(who, from, words).await;
        if let Ok((heard, at)) = timeout(Duration::from_millis(200), hear(&program)).await
            && heard == words
        {
            break at;
        }
    };
    let honest_at = place(honest, 1, b"honest").await;
    let mut places = Vec::new();
    for port in 1000..1600 {
        places.push(place(flooder, port, b"flood").await);
    }
    assert_eq!(place(honest, 1, b"again").await, honest_at);
    // Of the sockets that he had, those that were used longest ago are closed: what the program answers there comes to nobody.
    let (given_up, kept) = places.split_at(88);
    let gone = *given_up.iter().find(|at| !kept.contains(at)).unwrap();
    for at in [gone, places[599], honest_at] {
        program.send_to(b"answer", at).await.unwrap();
        if at != gone {
            let expected = if at == honest_at { (Some(honest), 1) } else { (Some(flooder), 1599) };
            assert_eq!(answers.recv().await.unwrap(), expected);
        }
    }
}
