//! Reseeding, as far as it has to do with files, HTTPS and the command line: whom a node asks, and what an operator can do
//! by hand.
//!
//! ```text
//! hosts.rs     the usual hosts and signers; what the settings make of them
//! outside.rs   HTTPS, and the bundles that are kept
//! signer.rs    keys and certificates of our own
//! offer.rs     which routers go into a bundle
//! serve.rs     bundles over HTTPS
//! ```

pub(crate) mod hosts;
mod offer;
mod outside;
mod serve;
mod signer;

use crate::Failure;
use crate::cli::{Making, ReseedCommand, Serving};
use crate::intake;
use crate::output::say;
use crate::settings::Settings;
use offer::Offer;
use ramson_actors::disk;
use ramson_protocol::id::RouterHash;
use ramson_protocol::netdb::rules::Rules;
use ramson_protocol::reseed::bundle;
use ramson_transports::clock::Clock;
use rand_chacha::ChaCha20Rng;
pub(crate) use serve::tls;
use signer::Signer;
pub(crate) use signer::https;
use std::path::Path;

/// `ramson reseed make` and `ramson reseed serve`.
///
/// # Errors
/// What is wrong, and what to do.
pub(crate) fn command(command: &ReseedCommand) -> Result<(), Failure> {
    match command {
        ReseedCommand::Make(making) => make(making),
        ReseedCommand::Serve(serving) => serve(serving),
    }
}

/// `ramson reseed FILE|URL`: takes a bundle into the database, or gives it to the router that runs. One signer is enough here: the operator
/// has chosen him.
///
/// # Errors
/// If there is no such bundle, or nothing in it is good.
pub(crate) fn take(source: &str, config: Option<&Path>, data: &Path) -> Result<(), Failure> {
    let settings = Settings::load(config)?;
    let signers = hosts::signers(&settings)?;
    let file = if source.contains("://") {
        let source = hosts::address(source, settings.network.id)?;
        outside::Client::new(&settings)?.fetch(&source)?
    } else {
        outside::read_bounded(Path::new(source)).map_err(|e| format!("cannot read {source}: {e}"))?
    };
    let rules = Rules { net_id: settings.network.id, own: RouterHash::default(), floodfill: false };
    let bundle = bundle::open(&file, &signers, &rules, Clock::system()).map_err(|e| format!("{source}: {e}"))?;
    let found = bundle.routers.iter().map(|info| info.as_bytes().clone()).collect();
    let imported = intake::take(data, found, &rules)?;
    say(&format!("{imported}\nsigned by {}\n", bundle.signer))?;
    if !bundle.refused.is_empty() {
        say(&format!("left out: {}\n", bundle::counted(&bundle.refused)))?;
    }
    Ok(())
}

fn make(making: &Making) -> Result<(), Failure> {
    let offer = Offer::new(&making.offer);
    let signer = Signer::open(&making.keys, &making.signer)?;
    let mut rng = rand::make_rng::<ChaCha20Rng>();
    let routers = offer.pick(offer.all()?, &mut rng);
    let file = bundle::make(&routers, &signer.id, &signer.key, Clock::system(), &mut rng)
        .map_err(|e| format!("the bundle cannot be made: {e}"))?;
    disk::replace(&making.out, &file, 0o644).map_err(|e| format!("cannot write {}: {e}", making.out.display()))?;
    say(&format!(
        "{}: {} routers, signed by {}; whoever takes it needs {}\n",
        making.out.display(),
        routers.len(),
        signer.id,
        signer.certificate.display()
    ))?;
    Ok(())
}

fn serve(serving: &Serving) -> Result<(), Failure> {
    serve::run(serving, Offer::new(&serving.offer), Signer::open(&serving.keys, &serving.signer)?)
}
