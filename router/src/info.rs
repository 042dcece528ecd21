//! `ramson info` and `ramson import`: what can be done without a running node.

use crate::Failure;
use crate::bootstrap;
use crate::data_dir::DataDir;
use ramson_actors::netdb;
use ramson_protocol::data::router_info::RouterInfo;
use std::path::{Path, PathBuf};

/// Prints our hash, RouterInfo file and addresses.
///
/// # Errors
/// If there is no RouterInfo yet.
#[expect(clippy::print_stdout, reason = "it is what the command is for")]
pub(crate) fn info(data: &Path, json: bool) -> Result<(), Failure> {
    let path = data.join("router.info");
    let bytes = std::fs::read(&path).map_err(|e| {
        format!("cannot read {}: {e}; it is made at the first `ramson run --data {}`", path.display(), data.display())
    })?;
    let info = RouterInfo::parse(bytes.into()).map_err(|e| format!("{} is no RouterInfo: {e}", path.display()))?;
    info.verify().map_err(|e| format!("{} is damaged: {e}", path.display()))?;
    let addresses: Vec<(String, String)> = info
        .addresses()
        .map(|a| {
            (
                String::from_utf8_lossy(a.style).into_owned(),
                a.socket().map_or_else(|| "unpublished".to_owned(), |s| s.to_string()),
            )
        })
        .collect();
    let (hash, caps) = (info.hash().to_base64(), info.caps().to_string());
    if json {
        let addresses: Vec<_> =
            addresses.iter().map(|(style, at)| serde_json::json!({ "transport": style, "address": at })).collect();
        let value = serde_json::json!({
            "hash": hash,
            "router_info": path,
            "caps": caps,
            "version": info.version().to_string(),
            "net_id": info.net_id(),
            "published_ms": info.published().0,
            "addresses": addresses,
        });
        println!("{value:#}");
    } else {
        println!("hash         {hash}\nrouter info  {}\ncaps         {caps}", path.display());
        for (style, at) in addresses {
            println!("address      {style} {at}");
        }
    }
    Ok(())
}

/// Takes RouterInfos into the database.
///
/// # Errors
/// If the folder is in use, or something named cannot be read.
#[expect(clippy::print_stdout, reason = "it is what the command is for")]
pub(crate) fn import(data: &Path, paths: &[PathBuf]) -> Result<(), Failure> {
    let data = DataDir::open(data)?;
    let mut found = Vec::new();
    for path in paths {
        found.extend(bootstrap::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?);
    }
    let total = found.len();
    let (taken, refused) = netdb::import(&data.database_path(), found)?;
    println!("{taken} RouterInfos taken of {total}; {refused} refused (damaged, or signature wrong)");
    if total > 0 && taken == 0 {
        return Err("nothing was taken".into());
    }
    Ok(())
}
