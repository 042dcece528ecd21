//! How a router that knows nobody comes to know others: bundles of RouterInfos, signed by people whose certificates come
//! with the router, offered by hosts outside of the network.
//!
//! spec: reseed; updates §SU3 Reseed File Specification
//!
//! ```text
//! certificate.rs   who may sign
//! bundle.rs        a signed file <-> RouterInfos that have passed all checks
//! sources.rs       what is taken when several signers have been heard
//! plan.rs          when to ask whom
//! ```
//! Whoever makes a bundle could fill it with routers of his own and have a newcomer know no others. So one signer is never
//! believed alone, if there are more to be asked, and none fills more than half of what is taken.

pub mod bundle;
pub mod certificate;
pub mod plan;
pub mod sources;
#[cfg(test)]
mod test_bundles;
