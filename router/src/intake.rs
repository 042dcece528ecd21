//! RouterInfos that the operator gives by hand: into the database of a data folder, or, while a router runs with it, to that.

use crate::Failure;
use crate::control::{self, MOST_LEARNED, Request};
use crate::data_dir::{DataDir, DataError};
use bytes::Bytes;
use ramson_actors::netdb::{self, Imported};
use ramson_protocol::base64;
use ramson_protocol::netdb::rules::Rules;
use ramson_transports::clock::Clock;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What a router that runs says of them; see [`Imported`].
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Learned {
    taken: usize,
    known: usize,
    refused: Vec<(String, usize)>,
}

impl From<Imported> for Learned {
    fn from(Imported { taken, known, refused }: Imported) -> Self {
        Self { taken, known, refused: refused.into_iter().map(|(cause, n)| (cause.into_owned(), n)).collect() }
    }
}

impl From<Learned> for Imported {
    fn from(Learned { taken, known, refused }: Learned) -> Self {
        Self { taken, known, refused: refused.into_iter().map(|(cause, n)| (cause.into(), n)).collect() }
    }
}

/// Takes them by these rules; a router that runs has its own.
///
/// # Errors
/// If the database cannot be used, or the router that runs does not answer.
pub(crate) fn take(folder: &Path, found: Vec<Bytes>, rules: &Rules) -> Result<Imported, Failure> {
    match DataDir::open(folder) {
        Ok(data) => Ok(netdb::import(&data.database_path(), found, rules, Clock::system())?),
        Err(DataError::InUse(_)) => tell(folder, &found),
        Err(other) => Err(other.into()),
    }
}

fn tell(folder: &Path, found: &[Bytes]) -> Result<Imported, Failure> {
    let mut imported = Imported::default();
    for some in found.chunks(MOST_LEARNED) {
        let routers = some.iter().map(|bytes| base64::encode(bytes)).collect();
        let answer = control::ask(folder, &Request::Learn { routers })?;
        imported.add(serde_json::from_value::<Learned>(answer)?.into());
    }
    Ok(imported)
}
