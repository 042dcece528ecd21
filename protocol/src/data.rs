//! The common structures: what a router and a destination are, and how they can be reached.
//!
//! spec: common-structures. What is signed keeps its exact bytes; everything else is read from them on demand.

pub mod certificate;
pub mod encrypted_lease_set;
pub mod entry;
pub mod key_type;
pub mod keys_and_cert;
pub mod lease;
pub mod lease_set;
pub mod lease_set2;
pub mod mapping;
pub mod meta_lease_set;
pub mod offline;
pub mod private_keys;
pub mod router_address;
pub mod router_info;
pub mod router_keys;
