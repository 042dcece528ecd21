//! Making our own RouterInfo.

use super::RouterInfo;
use crate::data::mapping::MappingBuf;
use crate::data::router_address::RouterAddressBuf;
use crate::data::router_keys::RouterKeys;
use crate::time::Wall;
use crate::wire::{Error, Result, Writer};

/// What is to be published; `netId`, `caps` and `router.version` have setters, all else goes into `options`.
#[derive(Clone, Debug, Default)]
pub struct RouterInfoBuilder {
    /// Addresses, best first.
    pub addresses: Vec<RouterAddressBuf>,
    /// The options, sorted by themselves.
    pub options: MappingBuf,
}

impl RouterInfoBuilder {
    /// A RouterInfo of network `net_id`, with the API version that we speak and these capabilities.
    pub fn new(net_id: u8, version: super::Version, caps: super::Caps) -> Self {
        let mut options = MappingBuf::new();
        options.set("netId", net_id.to_string()).set("router.version", version.to_string());
        options.set("caps", caps.to_string());
        Self { addresses: Vec::new(), options }
    }

    /// Adds an address.
    pub fn address(mut self, address: RouterAddressBuf) -> Self {
        self.addresses.push(address);
        self
    }

    /// Sets an option.
    pub fn option(mut self, key: &str, value: impl Into<String>) -> Self {
        self.options.set(key, value);
        self
    }

    /// Signs it.
    ///
    /// # Errors
    /// `TooLarge`.
    pub fn sign(&self, keys: &RouterKeys, published: Wall) -> Result<RouterInfo> {
        let mut raw = Vec::with_capacity(1024);
        raw.put(keys.identity.as_bytes());
        raw.put_u64(published.0);
        raw.put_u8(u8::try_from(self.addresses.len()).map_err(|_| Error::TooLarge("addresses"))?);
        for address in &self.addresses {
            address.write(&mut raw)?;
        }
        raw.put_u8(0);
        self.options.write(&mut raw)?;
        let signature = keys.signing.sign(&raw);
        raw.put(&signature);
        RouterInfo::parse(raw.into())
    }
}
