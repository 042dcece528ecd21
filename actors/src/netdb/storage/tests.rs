use super::*;
use ramson_protocol::data::router_info::{Caps, RouterInfoBuilder, Version};
use ramson_protocol::data::router_keys::RouterKeys;
use ramson_protocol::time::Wall;

fn router(published: u32) -> RouterInfo {
    let keys = RouterKeys::generate(&mut rand::rng());
    RouterInfoBuilder::new(99, Version(0, 9, 69), Caps::parse("XR")).sign(&keys, Wall::from_secs(published)).unwrap()
}

fn keys<'a>(routers: impl IntoIterator<Item = &'a RouterInfo>) -> Vec<NetDbKey> {
    let mut keys: Vec<_> = routers.into_iter().map(|info| info.hash().into()).collect();
    keys.sort_unstable();
    keys
}

fn infos(found: &Found) -> impl Iterator<Item = &RouterInfo> {
    found.routers.iter().map(|loaded| &loaded.info)
}

#[actix::test]
async fn what_is_kept_is_there_after_a_restart_and_what_is_forgotten_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("netdb.redb");
    let routers: Vec<_> = (0..1200).map(|n| router(1_790_000_000 + n)).collect();
    let (storage, found) = Storage::open(&path).unwrap();
    assert!(found.routers.is_empty());
    routers.iter().enumerate().for_each(|(n, info)| storage.keep(info.clone(), n % 2 == 0));
    routers[..200].iter().for_each(|info| storage.forget(info.hash().into()));
    storage.close().await;
    let (storage, found) = Storage::open(&path).unwrap();
    assert_eq!(keys(infos(&found)), keys(&routers[200..]));
    assert_eq!(found.routers.iter().filter(|loaded| loaded.public).count(), 500, "and who may be told of what, too");
    storage.close().await;
}

/// A LeaseSet of an earlier version is named, so that it can be forgotten.
#[actix::test]
async fn lease_sets_on_disk_are_no_routers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("netdb.redb");
    let (database, _) = open_or_begin_anew(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(ENTRIES).unwrap().insert(&[7; 32], [3, 1, 2, 3].as_slice()).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let (storage, found) = Storage::open(&path).unwrap();
    assert_eq!((found.routers.len(), found.lease_sets), (0, vec![NetDbKey([7; 32])]));
    storage.forget(NetDbKey([7; 32]));
    storage.close().await;
    assert!(Storage::open(&path).unwrap().1.lease_sets.is_empty());
}

#[actix::test]
async fn a_damaged_file_is_moved_aside_and_a_new_one_begun() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("netdb.redb");
    for damage in [&b"not a database at all"[..], &[0; 100_000]] {
        std::fs::write(&path, damage).unwrap();
        let (storage, found) = Storage::open(&path).unwrap();
        assert!(found.routers.is_empty());
        storage.keep(router(1_790_000_000), true);
        storage.close().await;
        let aside = std::fs::read_dir(folder.path()).unwrap().filter_map(Result::ok);
        let aside = aside.filter(|e| e.file_name().to_string_lossy().contains("damaged"));
        assert!(aside.count() >= 1);
        assert_eq!(Storage::open(&path).unwrap().1.routers.len(), 1);
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn every_single_damaged_page_leaves_a_router_that_starts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("netdb.redb");
    write_offline(&path, (0..50).map(|n| router(1_790_000_000 + n)).collect()).unwrap();
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

/// A full disk, as the thread sees it: the file cannot be opened while its folder is gone.
#[actix::test]
async fn a_disk_that_could_not_be_written_is_written_again_by_itself_and_lacks_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (place, elsewhere) = (folder.path().join("here"), folder.path().join("there"));
    std::fs::create_dir(&place).unwrap();
    let path = place.join("netdb.redb");
    let (database, _) = open_or_begin_anew(&path).unwrap();
    let losses = Arc::<Losses>::default();
    let mut writer = Writer::new(path.clone(), database, Arc::clone(&losses));
    let (first, second) = (router(1_790_000_000), router(1_790_000_001));
    writer.fail_once();
    std::fs::rename(&place, &elsewhere).unwrap();
    assert!(!writer.writes(&[Command::Keep(first.clone(), true)]) && !writer.writes(&[]));
    std::fs::rename(&elsewhere, &place).unwrap();
    assert!(writer.writes(&[Command::Keep(second.clone(), true)]));
    assert_eq!(losses.to_mend.load(Relaxed), 1, "the file was new: all is to be kept again");
    drop(writer);
    assert_eq!(keys(read_offline(&path).unwrap().iter().map(|loaded| &loaded.info)), keys([&first, &second]));
}

#[test]
fn what_finds_no_room_is_asked_for_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("netdb.redb");
    let losses = Arc::<Losses>::default();
    let (commands, receiver) = bounded(1);
    let storage = Storage { commands, losses: Arc::clone(&losses) };
    storage.keep(router(1_790_000_000), true);
    storage.keep(router(1_790_000_001), true);
    assert_eq!(storage.losses(), 0);
    let mut writer = Writer::new(path.clone(), open_or_begin_anew(&path).unwrap().0, losses);
    assert!(writer.writes(&[*receiver.recv().unwrap()]));
    assert_eq!(storage.losses(), 1);
}
