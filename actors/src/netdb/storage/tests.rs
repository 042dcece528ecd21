use super::*;
use ramson_protocol::data::router_info::{Caps, RouterInfo, RouterInfoBuilder, Version};
use ramson_protocol::data::router_keys::RouterKeys;
use ramson_protocol::time::Wall;

fn router(published: u32) -> RouterInfo {
    let keys = RouterKeys::generate(&mut rand::rng());
    RouterInfoBuilder::new(99, Version(0, 9, 69), Caps::parse("XR")).sign(&keys, Wall::from_secs(published)).unwrap()
}

fn keys(entries: &[Entry]) -> Vec<NetDbKey> {
    let mut keys: Vec<_> = entries.iter().map(Entry::key).collect();
    keys.sort_unstable();
    keys
}

#[actix::test]
async fn what_is_kept_is_there_after_a_restart_and_what_is_forgotten_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("netdb.redb");
    let entries: Vec<Entry> = (0..1200).map(|n| router(1_790_000_000 + n).into()).collect();
    let (storage, found) = Storage::open(&path).unwrap();
    assert!(found.is_empty());
    entries.iter().for_each(|entry| storage.keep(entry.clone()));
    entries[..200].iter().for_each(|entry| storage.forget(entry.key()));
    storage.close().await;
    let (storage, found) = Storage::open(&path).unwrap();
    assert_eq!(keys(&found), keys(&entries[200..]));
    storage.close().await;
}

#[actix::test]
async fn a_damaged_file_is_moved_aside_and_a_new_one_begun() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("netdb.redb");
    for damage in [&b"not a database at all"[..], &[0; 100_000]] {
        std::fs::write(&path, damage).unwrap();
        let (storage, found) = Storage::open(&path).unwrap();
        assert!(found.is_empty());
        storage.keep(router(1_790_000_000).into());
        storage.close().await;
        let aside = std::fs::read_dir(folder.path()).unwrap().filter_map(Result::ok);
        let aside = aside.filter(|e| e.file_name().to_string_lossy().contains("damaged"));
        assert!(aside.count() >= 1);
        assert_eq!(Storage::open(&path).unwrap().1.len(), 1);
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn every_single_damaged_page_leaves_a_router_that_starts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("netdb.redb");
    write_offline(&path, (0..50).map(|n| router(1_790_000_000 + n).into()).collect()).unwrap();
    let good = std::fs::read(&path).unwrap();
    let step = good.len() / 40;
    for at in (0..good.len()).step_by(step.max(1)) {
        let mut bad = good.clone();
        let end = (at + 700).min(bad.len());
        bad[at..end].fill(0xa5);
        std::fs::write(&path, &bad).unwrap();
        read_offline(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
    }
}
