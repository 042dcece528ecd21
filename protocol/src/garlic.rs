//! Garlic messages to and from routers: encrypted to a router's static key, or under a key and tag that were sent along
//! with a request. (Garlic between destinations has sessions; this has none.)
//!
//! What the body of a Garlic message holds, see [`crate::i2np::garlic`]:
//!
//! ```text
//! to a router's key     ephemeral key (32) | payload blocks, sealed | tag (16)     see [`noise_n`]
//! reply under a key     session tag (8)    | payload blocks, sealed | tag (16)     see [`one_time`]
//! old reply             session tag (32)   | AES-CBC block                         see [`aes_tag`]
//! ```
//!
//! spec: ecies-routers; i2np §Garlic, §DatabaseLookup; proposal 154

pub mod aes_tag;
pub mod clove;
pub mod noise_n;
pub mod one_time;
