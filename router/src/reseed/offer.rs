//! Which routers go into a bundle: those that are fresh and can be called, picked by chance, so that nobody learns all that
//! we know. They are had from files, from the router that runs, or from the database of one that does not.

use crate::Failure;
use crate::bootstrap;
use crate::cli::Offering;
use crate::control::{Request, ask};
use bytes::Bytes;
use ramson_actors::netdb;
use ramson_protocol::base64;
use ramson_protocol::data::router_info::RouterInfo;
use ramson_protocol::reseed::bundle::is_fit;
use ramson_transports::clock::Clock;
use rand::Rng;
use rand::seq::SliceRandom;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Where routers are had from, and how many are given.
pub(super) struct Offer {
    paths: Vec<PathBuf>,
    data: PathBuf,
    net_id: u8,
    private: bool,
    count: usize,
}

impl Offer {
    /// As the command line has it: from files and netDb folders, or without any from the router of a data folder.
    pub(super) fn new(offering: &Offering) -> Self {
        Self {
            paths: offering.paths.clone(),
            data: offering.data.clone(),
            net_id: offering.network,
            private: offering.private,
            count: offering.count,
        }
    }

    /// All that can be given.
    ///
    /// # Errors
    /// If nothing can be read, or nothing of it is fit.
    pub(super) fn all(&self) -> Result<Vec<RouterInfo>, Failure> {
        let found = self.found()?;
        let total = found.len();
        let mut newest: BTreeMap<_, RouterInfo> = BTreeMap::new();
        for info in found {
            if is_fit(&info, self.net_id, self.private, Clock::system())
                && newest.get(&info.hash()).is_none_or(|held| held.published() < info.published())
                && info.verify().is_ok()
            {
                newest.insert(info.hash(), info);
            }
        }
        if newest.is_empty() {
            let private = if self.private { "" } else { ", or --private for addresses that are not public" };
            return Err(format!(
                "none of {total} RouterInfos is fit to be given: they must be of network {}, a day old at most, and reachable at a \
                 public address; see --network{private}",
                self.net_id
            )
            .into());
        }
        Ok(newest.into_values().collect())
    }

    /// Some of all, by chance.
    pub(super) fn pick(&self, mut all: Vec<RouterInfo>, rng: &mut impl Rng) -> Vec<RouterInfo> {
        all.shuffle(rng);
        all.truncate(self.count);
        all
    }

    fn found(&self) -> Result<Vec<RouterInfo>, Failure> {
        if self.paths.is_empty() {
            return match ask(&self.data, &Request::Routers { private: self.private }) {
                Ok(answer) => Ok(from_answer(&answer)),
                // None runs, so that its database is free.
                Err(asked) => {
                    netdb::routers_in(&self.data.join("netdb.redb")).map_err(|e| format!("{asked}; {e}").into())
                }
            };
        }
        let mut found: Vec<Bytes> = Vec::new();
        for path in &self.paths {
            found.extend(bootstrap::read(path)?.routers);
        }
        Ok(found.into_iter().filter_map(|bytes| RouterInfo::parse(bytes).ok()).collect())
    }
}

/// The RouterInfos that a running router has named.
fn from_answer(answer: &Value) -> Vec<RouterInfo> {
    let texts = answer.as_array().into_iter().flatten().filter_map(Value::as_str);
    texts.filter_map(|text| RouterInfo::parse(base64::decode(text)?.into()).ok()).collect()
}
