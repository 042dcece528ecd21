//! Finding RouterInfos in files and in netDb folders of i2pd, Java I2P and Ramson.

use bytes::Bytes;
use std::fs;
use std::io;
use std::path::Path;

/// Folders below the one given: netDb/rX/ has two levels.
const MAX_DEPTH: usize = 4;

/// A file above this is no RouterInfo. spec: common-structures §RouterInfo; INTEROP: i2pd takes up to 3,072 bytes.
const MAX_FILE: u64 = 16 * 1024;

/// Files that are read at most.
const MAX_FILES: usize = 100_000;

/// What was found under a path.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// RouterInfos, unverified.
    pub(crate) routers: Vec<Bytes>,
    /// Files and folders below the path that could not be read, or are no RouterInfos by their size.
    pub(crate) unreadable: usize,
    /// The first of them, and why.
    pub(crate) first: Option<String>,
}

impl Found {
    fn passed_over(&mut self, path: &Path, why: &dyn std::fmt::Display) {
        self.unreadable += 1;
        self.first.get_or_insert_with(|| format!("{}: {why}", path.display()));
    }

    /// What was passed over, in words, if anything was.
    pub(crate) fn complaint(&self) -> Option<String> {
        let first = self.first.as_ref()?;
        Some(format!("{} files or folders were passed over, the first of them {first}", self.unreadable))
    }
}

/// Reads all RouterInfos under `path`, unverified. What is named itself must be readable; in folders, what cannot be read is
/// passed over and counted, and files that are not named like RouterInfos are none.
///
/// # Errors
/// What is wrong with what was named, with its path.
pub(crate) fn read(path: &Path) -> Result<Found, String> {
    let failed = |e: io::Error| format!("cannot read {}: {e}", path.display());
    let mut found = Found::default();
    let about = fs::metadata(path).map_err(failed)?;
    if about.is_dir() {
        let entries = fs::read_dir(path).map_err(failed)?;
        walk(entries, 0, &mut found);
    } else if path.extension().is_some_and(|end| end == "su3") {
        return Err(format!("{} is a bundle: take it with `ramson reseed {}`", path.display(), path.display()));
    } else if about.len() > MAX_FILE {
        return Err(format!("{} is no RouterInfo: it has more than {MAX_FILE} bytes", path.display()));
    } else {
        found.routers.push(fs::read(path).map_err(failed)?.into());
    }
    Ok(found)
}

fn walk(entries: fs::ReadDir, depth: usize, found: &mut Found) {
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        // A file may vanish while we look: a running router keeps its netDb folder in order.
        let Ok(kind) = fs::metadata(&path) else { continue };
        if kind.is_dir() && depth < MAX_DEPTH {
            match fs::read_dir(&path) {
                Ok(entries) => walk(entries, depth + 1, found),
                Err(error) => found.passed_over(&path, &error),
            }
        } else if kind.is_file()
            && found.routers.len() < MAX_FILES
            && ((name.starts_with("routerInfo-") && name.ends_with(".dat")) || name == "router.info")
        {
            if kind.len() > MAX_FILE {
                found.passed_over(&path, &"too large for a RouterInfo");
                continue;
            }
            match fs::read(&path) {
                Ok(bytes) => found.routers.push(bytes.into()),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(error) => found.passed_over(&path, &error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_its_router_infos_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("netDb/rA")).unwrap();
        fs::write(folder.path().join("netDb/rA/routerInfo-AAAA=.dat"), b"one").unwrap();
        fs::write(folder.path().join("router.info"), b"two").unwrap();
        fs::write(folder.path().join("router.keys"), b"secret").unwrap();
        let mut found = read(folder.path()).unwrap();
        found.routers.sort();
        assert_eq!(found.routers, [Bytes::from_static(b"one"), Bytes::from_static(b"two")]);
        assert_eq!(found.complaint(), None);
        assert_eq!(read(&folder.path().join("router.info")).unwrap().routers.len(), 1);
    }

    #[test]
    fn what_is_named_must_be_readable_and_the_error_says_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        assert!(read(&missing).unwrap_err().contains("missing"));
        let bundle = folder.path().join("i2pseeds.su3");
        fs::write(&bundle, b"I2Psu3").unwrap();
        assert!(read(&bundle).unwrap_err().contains("ramson reseed"));
    }

    #[test]
    fn one_bad_item_below_costs_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("routerInfo-a.dat"), b"one").unwrap();
        fs::write(folder.path().join("routerInfo-b.dat"), vec![0; 20_000]).unwrap();
        // Rights do not hold root back, a loop of links does.
        std::os::unix::fs::symlink("routerInfo-c.dat", folder.path().join("routerInfo-c.dat")).unwrap();
        fs::create_dir(folder.path().join("routerInfo-d.dat")).unwrap();
        let found = read(folder.path()).unwrap();
        assert_eq!(found.routers.len(), 1);
        let complaint = found.complaint().unwrap();
        assert!(complaint.contains("1 files") && complaint.contains("routerInfo-b.dat"), "{complaint}");
    }
}
