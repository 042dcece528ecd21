//! What few destinations want otherwise, and the names by which programs ask for it.
//!
//! ```text
//! i2cp.leaseSetEncType=6,4                        encryption; 5, 6 and 7 are hybrid, of which the first counts
//! i2cp.leaseSetType=5                             the lease set is encrypted
//! i2cp.leaseSetAuthType=1, =2                     for readers whose X25519 keys, or whose secrets, follow
//! i2cp.leaseSetClient.dh.N=name:key, .psk.N=      one reader
//! i2cp.leaseSetSecret=base 64                     what must be known beside the address
//! i2cp.leaseSetPrivKey=base 64                    the key with which others' are read
//! i2cp.leaseSetOption.N=key=value                 a record in the lease set, which others can ask for
//! explicitPeers=hash,hash                         the hops of its tunnels, the nearest first
//! ```
//! spec: i2cp §Options. INTEROP: i2pd and Java agree on all of these but the secret, which i2pd does not have.

use crate::blinding::{ClientKey, MAX_READERS, Readers};
use crate::data::key_type::EncType;
use crate::data::mapping::MappingBuf;
use crate::id::RouterHash;
use crate::idle;
use crate::pool::LENGTH_MAX;
use crate::sam::session::decode;
use ramson_crypto::kem::Kem;
use ramson_crypto::x25519::PublicKey;

/// Records in a lease set, at most.
const MAX_RECORDS: usize = 16;

/// What few destinations want otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The hybrid handshake that it takes and begins beside the plain one.
    pub hybrid: Option<Kem>,
    /// Its lease set names a key of ElGamal, too, for those who have nothing newer.
    pub elgamal: bool,
    /// Its lease set is encrypted, for these readers; by its hash nobody finds it.
    pub encrypted: Option<Readers>,
    /// What must be known beside an address to find an encrypted lease set, its own and others' whose address says so.
    pub secret: String,
    /// The key with which it reads lease sets that are for certain readers.
    pub client_key: Option<ClientKey>,
    /// Records in its lease set, which others can ask for.
    pub records: MappingBuf,
    /// The hops of its tunnels, the nearest first; without any they are chosen.
    pub hops: Vec<RouterHash>,
    /// What it gives up while nobody uses it. A program that speaks for itself has its own rules.
    pub idle: idle::Config,
}

impl Default for Options {
    /// Hybrid handshakes with ML-KEM-768. INTEROP: i2pd's own choice, and one lease set names one of them at most.
    fn default() -> Self {
        Self {
            hybrid: Some(Kem::MlKem768),
            elgamal: false,
            encrypted: None,
            secret: String::new(),
            client_key: None,
            records: MappingBuf::new(),
            hops: Vec::new(),
            idle: idle::Config::default(),
        }
    }
}

/// Why these options cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// A kind of lease set that no destination here has.
    #[error("i2cp.leaseSetType is 3, or 5 for an encrypted one")]
    Type,
    /// A list with a type that no destination has.
    #[error("i2cp.leaseSetEncType is a list of 4, 5, 6 and 7; 0 may stand in it")]
    Encryption,
    /// A scheme that does not exist.
    #[error("i2cp.leaseSetAuthType is 0, 1 or 2")]
    Scheme,
    /// Nobody, or more than there is room for.
    #[error("i2cp.leaseSetClient.dh.N or .psk.N names 1 to {MAX_READERS} readers, as i2cp.leaseSetAuthType says which")]
    Readers,
    /// What should be a key is none.
    #[error("{0} is not 32 bytes in base 64")]
    Key(String),
    /// What should be a secret is none.
    #[error("i2cp.leaseSetSecret is not text in base 64")]
    Secret,
    /// What should be routers are none, or more than a tunnel has.
    #[error("explicitPeers is a list of 1 to {LENGTH_MAX} router hashes in base 64")]
    Hops,
    /// More records than there is room for, or one without a value.
    #[error("i2cp.leaseSetOption.N is key=value, {MAX_RECORDS} times at most")]
    Record,
}

impl Options {
    /// Reads what a program asks for among other options.
    ///
    /// # Errors
    /// What of it cannot be.
    pub fn parse<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self, OptionError> {
        let (mut options, mut dh, mut psk) = (Self::default(), Vec::new(), Vec::new());
        let (mut encrypted, mut scheme, mut records) = (false, 0, 0);
        for (name, value) in pairs {
            if name == "explicitPeers" && !value.is_empty() {
                options.hops = hops(value.split(',')).ok_or(OptionError::Hops)?;
            }
            let Some(name) = name.strip_prefix("i2cp.leaseSet") else { continue };
            match name {
                // INTEROP: what old programs ask for, lease sets of the first kind, is never published any more.
                "Type" => match value {
                    "" | "1" | "3" => {}
                    "5" => encrypted = true,
                    _ => return Err(OptionError::Type),
                },
                "EncType" if !value.is_empty() => (options.hybrid, options.elgamal) = types(value)?,
                "AuthType" => {
                    scheme = value.parse().ok().filter(|scheme| *scheme <= 2).ok_or(OptionError::Scheme)?;
                }
                "Secret" => {
                    let bytes = decode(value).ok_or(OptionError::Secret)?;
                    options.secret = String::from_utf8(bytes).map_err(|_| OptionError::Secret)?;
                }
                "PrivKey" if !value.is_empty() => options.client_key = Some(ClientKey(key("PrivKey", value)?)),
                name if name.starts_with("Client.dh.") => dh.push(PublicKey(of_reader(name, value)?)),
                name if name.starts_with("Client.psk.") => psk.push(of_reader(name, value)?),
                name if name.starts_with("Option.") => {
                    let (key, value) = value.split_once('=').ok_or(OptionError::Record)?;
                    records += 1;
                    if records > MAX_RECORDS || key.is_empty() {
                        return Err(OptionError::Record);
                    }
                    options.records.set(key, value);
                }
                _ => {}
            }
            if dh.len().max(psk.len()) > MAX_READERS {
                return Err(OptionError::Readers);
            }
        }
        let fits = |some: bool| if some { Ok(()) } else { Err(OptionError::Readers) };
        if encrypted {
            options.encrypted = Some(match scheme {
                0 => Readers::Everybody,
                1 => fits(!dh.is_empty()).map(|()| Readers::Dh(dh))?,
                _ => fits(!psk.is_empty()).map(|()| Readers::Psk(psk))?,
            });
        }
        Ok(options)
    }
}

/// The routers of these hashes. `None` if one is none, or if there are more than a tunnel has.
pub fn hops<'a>(list: impl Iterator<Item = &'a str>) -> Option<Vec<RouterHash>> {
    let hash = |word: &str| decode(word.trim()).and_then(|bytes| bytes.try_into().ok()).map(RouterHash);
    list.map(hash).collect::<Option<Vec<_>>>().filter(|hops| hops.len() <= LENGTH_MAX)
}

/// The first hybrid type of a list, and whether the old one is in it.
fn types(list: &str) -> Result<(Option<Kem>, bool), OptionError> {
    let (mut hybrid, mut elgamal) = (None, false);
    for word in list.split(',') {
        let kind = word.trim().parse().map(EncType::from_code).map_err(|_| OptionError::Encryption)?;
        let kem = match kind {
            EncType::X25519 => None,
            EncType::ElGamal => {
                elgamal = true;
                None
            }
            EncType::MlKem512X25519 => Some(Kem::MlKem512),
            EncType::MlKem768X25519 => Some(Kem::MlKem768),
            EncType::MlKem1024X25519 => Some(Kem::MlKem1024),
            EncType::P256 | EncType::P384 | EncType::P521 | EncType::Unknown(_) => {
                return Err(OptionError::Encryption);
            }
        };
        hybrid = hybrid.or(kem);
    }
    Ok((hybrid, elgamal))
}

/// The key of `name:key`. INTEROP: i2pd takes any word for a name, Java base 64.
fn of_reader(name: &str, value: &str) -> Result<[u8; 32], OptionError> {
    key(name, value.rsplit_once(':').map_or(value, |(_, key)| key))
}

fn key(name: &str, text: &str) -> Result<[u8; 32], OptionError> {
    let bytes = decode(text).and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| OptionError::Key(format!("i2cp.leaseSet{name}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base64;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Options, OptionError> {
        Options::parse(text.split_whitespace().filter_map(|word| word.split_once('=')))
    }

    #[test]
    fn encryption_is_plain_or_hybrid_as_the_list_says() {
        let of = |list: &str| parse(&format!("i2cp.leaseSetEncType={list}")).map(|options| options.hybrid);
        for (list, hybrid) in [
            ("4", None),
            ("4,0", None),
            ("0", None),
            ("6,4", Some(Kem::MlKem768)),
            ("4,5", Some(Kem::MlKem512)),
            ("7", Some(Kem::MlKem1024)),
            ("7,6,4", Some(Kem::MlKem1024)),
            ("", Some(Kem::MlKem768)),
        ] {
            assert_eq!(of(list), Ok(hybrid), "{list}");
        }
        assert_eq!(parse(""), Ok(Options::default()));
        for wrong in ["4,x", "3", "99"] {
            assert_eq!(of(wrong), Err(OptionError::Encryption), "{wrong}");
        }
    }

    #[test]
    fn a_lease_set_is_encrypted_for_the_readers_of_its_scheme() {
        let (one, two) = (base64::encode(&[1; 32]), base64::encode(&[2; 32]));
        let clients = format!("i2cp.leaseSetClient.dh.0=bob:{one} i2cp.leaseSetClient.psk.0=eve:{two}");
        for (scheme, readers) in [
            ("", Readers::Everybody),
            ("i2cp.leaseSetAuthType=0", Readers::Everybody),
            ("i2cp.leaseSetAuthType=1", Readers::Dh(vec![PublicKey([1; 32])])),
            ("i2cp.leaseSetAuthType=2", Readers::Psk(vec![[2; 32]])),
        ] {
            let options = parse(&format!("i2cp.leaseSetType=5 {scheme} {clients}")).unwrap();
            assert_eq!(options.encrypted, Some(readers), "{scheme}");
        }
        assert_eq!(parse(&clients).unwrap().encrypted, None, "it was not asked for");
        let reader = parse(&format!("i2cp.leaseSetPrivKey={one} i2cp.leaseSetSecret=c2VjcmV0")).unwrap();
        assert_eq!((reader.client_key, reader.secret), (Some(ClientKey([1; 32])), "secret".to_owned()));
    }

    #[test]
    fn what_cannot_be_is_told() {
        for (text, error) in [
            ("i2cp.leaseSetType=7", OptionError::Type),
            ("i2cp.leaseSetAuthType=3", OptionError::Scheme),
            ("i2cp.leaseSetType=5 i2cp.leaseSetAuthType=1", OptionError::Readers),
            ("i2cp.leaseSetPrivKey=AAAA", OptionError::Key("i2cp.leaseSetPrivKey".to_owned())),
            ("i2cp.leaseSetClient.dh.1=a:AAAA", OptionError::Key("i2cp.leaseSetClient.dh.1".to_owned())),
            ("i2cp.leaseSetSecret=!", OptionError::Secret),
            ("i2cp.leaseSetOption.0=nothing", OptionError::Record),
            ("explicitPeers=router", OptionError::Hops),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
        let key = base64::encode(&[1; 32]);
        let many = (0..=MAX_READERS).map(|n| format!("i2cp.leaseSetClient.dh.{n}=x:{key} ")).collect::<String>();
        assert_eq!(parse(&many), Err(OptionError::Readers));
    }

    #[test]
    fn hops_are_named_the_nearest_first_as_many_as_a_tunnel_has() {
        let list = |count: u8| (1..=count).map(|n| base64::encode(&[n; 32])).collect::<Vec<_>>().join(",");
        let of = |count| parse(&format!("explicitPeers={}", list(count))).map(|options| options.hops);
        assert_eq!(of(2), Ok(vec![RouterHash([1; 32]), RouterHash([2; 32])]));
        assert_eq!(of(8), Err(OptionError::Hops));
    }

    #[test]
    fn records_stand_in_the_lease_set() {
        let options = parse("i2cp.leaseSetOption.0=_smtp._tcp=1 i2cp.leaseSetOption.1=a=b=c").unwrap();
        assert_eq!((options.records.get("_smtp._tcp"), options.records.get("a")), (Some("1"), Some("b=c")));
    }

    proptest! {
        #[test]
        fn nothing_panics(pairs in prop::collection::vec(("(i2cp\\.leaseSet(Type|EncType|AuthType|Secret|PrivKey|Client\\.dh\\.1|Option\\.0))|.{0,9}", ".{0,50}"), 0..8)) {
            let _ = Options::parse(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        }
    }
}
