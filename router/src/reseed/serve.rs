//! `ramson reseed serve`: bundles over HTTPS.
//!
//! Several bundles are made, each of other routers, and who asks again gets the one that he got before: so nobody learns all
//! that we know by asking often. They are made anew every hour.
//!
//! spec: reseed §Server Behavior

use super::Failure;
use super::offer::Offer;
use super::signer::{Signer, https};
use crate::cli::Serving;
use crate::output::say;
use actix_web::web::{Data, Query};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use bytes::Bytes;
use parking_lot::Mutex;
use ramson_crypto::hash::sha256;
use ramson_protocol::reseed::bundle;
use ramson_transports::clock::Clock;
use rand::RngExt;
use rand_chacha::ChaCha20Rng;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Different bundles at a time, if there are routers enough.
const VARIANTS: usize = 16;

/// How often they are made anew.
const EVERY: Duration = Duration::from_secs(3600);

/// Requests of one address in an hour: more than any router needs.
const PER_HOUR: u32 = 60;

/// Addresses that are counted; beyond them nobody is, until the hour is over.
const MOST_COUNTED: usize = 100_000;

/// What the handlers share.
struct Served {
    net_id: u8,
    secret: [u8; 32],
    bundles: Mutex<Vec<Bytes>>,
    asked: Mutex<Asked>,
}

/// Who has asked how often in this hour.
struct Asked {
    since: Instant,
    by: HashMap<IpAddr, u32>,
}

/// Serves until the process is ended.
///
/// # Errors
/// If nothing can be offered, or the address not be listened on.
pub(super) fn run(serving: &Serving, offer: Offer, signer: Signer) -> Result<(), Failure> {
    let mut rng = rand::make_rng::<ChaCha20Rng>();
    let bundles = make_all(&offer, &signer, &mut rng)?;
    let first = format!("{} bundles, signed by {}", bundles.len(), signer.id);
    let served = Arc::new(Served {
        net_id: serving.offer.network,
        secret: rng.random(),
        bundles: Mutex::new(bundles),
        asked: Mutex::new(Asked { since: Instant::now(), by: HashMap::new() }),
    });
    let mut names = serving.name.clone();
    if names.is_empty() {
        names.push(serving.listen.ip().to_string());
    }
    let tls = tls(https(&serving.keys, &names)?)?;
    let data = Data::from(Arc::clone(&served));
    let server = move || {
        App::new().app_data(data.clone()).route("/i2pseeds.su3", web::get().to(give)).route("/", web::get().to(root))
    };
    let certificate = signer.certificate.clone();
    let remake = Arc::clone(&served);
    std::thread::Builder::new().name("bundles".to_owned()).spawn(move || {
        loop {
            std::thread::sleep(EVERY);
            match make_all(&offer, &signer, &mut rng) {
                Ok(bundles) => *remake.bundles.lock() = bundles,
                Err(error) => crate::complain(&format!("the former bundles are offered on: {error}")),
            }
        }
    })?;
    let listen = serving.listen;
    actix_web::rt::System::new().block_on(async move {
        let server = HttpServer::new(server).workers(1).shutdown_timeout(1).bind_rustls_0_23(listen, tls);
        let server = server.map_err(|e| format!("cannot listen on {listen} (TCP): {e}; change --listen"))?;
        for at in server.addrs() {
            say(&format!("https://{at}/: {first}; whoever asks needs {}\n", certificate.display()))?;
        }
        Ok(server.run().await?)
    })
}

fn make_all(offer: &Offer, signer: &Signer, rng: &mut ChaCha20Rng) -> Result<Vec<Bytes>, Failure> {
    let all = offer.all()?;
    let variants = (all.len() / bundle::USUAL).clamp(1, VARIANTS);
    let one = |rng: &mut ChaCha20Rng| -> Result<Bytes, Failure> {
        let routers = offer.pick(all.clone(), rng);
        Ok(bundle::make(&routers, &signer.id, &signer.key, Clock::system(), rng)?.into())
    };
    (0..variants).map(|_| one(rng)).collect()
}

/// What HTTPS is spoken with.
///
/// # Errors
/// If certificate and key are none, or do not belong together.
pub(crate) fn tls((certificate, key): (String, String)) -> Result<ServerConfig, Failure> {
    let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_no_client_auth().with_single_cert(chain, key)?)
}

#[derive(Deserialize)]
struct Asking {
    netid: Option<u8>,
}

async fn give(request: HttpRequest, asking: Query<Asking>, served: Data<Served>) -> HttpResponse {
    let Some(from) = request.peer_addr().map(|addr| addr.ip()) else { return HttpResponse::BadRequest().finish() };
    if asking.netid.is_some_and(|id| id != served.net_id) {
        return HttpResponse::Forbidden().body(format!("this is network {}\n", served.net_id));
    }
    if !served.admits(from) {
        return HttpResponse::TooManyRequests().finish();
    }
    let bundle = served.bundle_for(from);
    HttpResponse::Ok().content_type("application/octet-stream").body(bundle)
}

async fn root() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("i2pseeds.su3\n")
}

impl Served {
    fn admits(&self, from: IpAddr) -> bool {
        let mut asked = self.asked.lock();
        if asked.since.elapsed() > EVERY {
            *asked = Asked { since: Instant::now(), by: HashMap::new() };
        }
        if asked.by.len() >= MOST_COUNTED && !asked.by.contains_key(&from) {
            return true;
        }
        let times = asked.by.entry(from).or_default();
        *times = times.saturating_add(1);
        *times <= PER_HOUR
    }

    /// The same for all addresses of a neighbourhood, and as long as this process runs.
    fn bundle_for(&self, from: IpAddr) -> Bytes {
        let neighbourhood: Vec<u8> = match from.to_canonical() {
            IpAddr::V4(ip) => ip.octets()[..3].to_vec(),
            IpAddr::V6(ip) => ip.octets()[..6].to_vec(),
        };
        let chance = sha256(&[&self.secret, &neighbourhood]);
        let bundles = self.bundles.lock();
        let index = usize::from(chance[0]) % bundles.len().max(1);
        bundles.get(index).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(bundles: usize) -> Served {
        let bundles = (0..bundles).map(|n| Bytes::from(vec![n as u8])).collect();
        let asked = Asked { since: Instant::now(), by: HashMap::new() };
        Served { net_id: 2, secret: [7; 32], bundles: Mutex::new(bundles), asked: Mutex::new(asked) }
    }

    #[test]
    fn who_asks_again_gets_the_same_and_others_something_else() {
        let served = served(VARIANTS);
        let of = |c: u8, d: u8| served.bundle_for(IpAddr::from([192, 0, c, d]));
        assert_eq!(of(1, 1), of(1, 200));
        assert!((0..50).any(|c| of(c, 1) != of(1, 1)));
    }

    #[test]
    fn who_asks_all_the_time_is_turned_away_and_nobody_else() {
        let served = served(1);
        let often = IpAddr::from([192, 0, 2, 1]);
        assert_eq!((0..200).filter(|_| served.admits(often)).count(), PER_HOUR as usize);
        assert!(served.admits(IpAddr::from([192, 0, 2, 2])));
    }
}
