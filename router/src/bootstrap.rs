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

/// Reads all RouterInfos under `path`, unverified. A file that is named itself must be readable; in folders, files that
/// are not named like RouterInfos are passed over.
///
/// # Errors
/// The operating system's, for what was named.
pub(crate) fn read(path: &Path) -> io::Result<Vec<Bytes>> {
    let mut found = Vec::new();
    if fs::metadata(path)?.is_dir() {
        walk(path, 0, &mut found)?;
    } else {
        found.push(fs::read(path)?.into());
    }
    Ok(found)
}

fn walk(folder: &Path, depth: usize, found: &mut Vec<Bytes>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        // A file may vanish while we look: a running router keeps its netDb folder in order.
        let Ok(kind) = entry.metadata() else { continue };
        if kind.is_dir() && depth < MAX_DEPTH {
            walk(&path, depth + 1, found)?;
        } else if kind.is_file()
            && kind.len() <= MAX_FILE
            && found.len() < MAX_FILES
            && ((name.starts_with("routerInfo-") && name.ends_with(".dat")) || name == "router.info")
            && let Ok(bytes) = fs::read(&path)
        {
            found.push(bytes.into());
        }
    }
    Ok(())
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
        found.sort();
        assert_eq!(found, [Bytes::from_static(b"one"), Bytes::from_static(b"two")]);
        assert_eq!(read(&folder.path().join("router.info")).unwrap().len(), 1);
        assert!(read(&folder.path().join("missing")).is_err());
    }
}
