//! `ramson info` and `ramson import`: our RouterInfo, and those of others.

use crate::Failure;
use crate::bootstrap;
use crate::data_dir::DataDir;
use crate::intake;
use crate::output::say;
use crate::settings::Settings;
use ramson_protocol::data::router_info::RouterInfo;
use ramson_protocol::netdb::rules::Rules;
use std::path::{Path, PathBuf};

/// Prints our hash, RouterInfo file and addresses.
///
/// # Errors
/// If there is no RouterInfo yet.
pub(crate) fn info(data: &Path, json: bool) -> Result<(), Failure> {
    let path = DataDir::router_info_in(data);
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
        say(&format!("{value:#}\n"))?;
    } else {
        let mut text = format!("hash         {hash}\nrouter info  {}\ncaps         {caps}\n", path.display());
        for (style, at) in addresses {
            text += &format!("address      {style} {at}\n");
        }
        say(&text)?;
    }
    Ok(())
}

/// Takes RouterInfos into the database, by the rules of the network that the configuration names, or our RouterInfo. While a router runs it
/// is given them, and has its own rules.
///
/// # Errors
/// If something named cannot be read, or nothing is taken.
pub(crate) fn import(config: Option<&Path>, data: &Path, paths: &[PathBuf]) -> Result<(), Failure> {
    let own = std::fs::read(DataDir::router_info_in(data)).ok().and_then(|bytes| RouterInfo::parse(bytes.into()).ok());
    let net_id = match (config, own.as_ref().and_then(RouterInfo::net_id)) {
        (None, Some(net_id)) => net_id,
        _ => Settings::load(config)?.network.id,
    };
    let mut found = Vec::new();
    for path in paths {
        let read = bootstrap::read(path)?;
        if let Some(complaint) = read.complaint() {
            crate::complain(&complaint);
        }
        found.extend(read.routers);
    }
    let rules = Rules { net_id, own: own.map(|info| info.hash()).unwrap_or_default(), floodfill: false };
    let imported = intake::take(data, found, &rules)?;
    say(&format!("{imported}\n"))?;
    if imported.taken + imported.known == 0 {
        return Err(format!("nothing was taken: {}", imported.advice(net_id)).into());
    }
    if imported.is_poor() {
        crate::complain(&imported.advice(net_id));
    }
    Ok(())
}
