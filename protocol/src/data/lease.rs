//! Lease, Lease2 and MetaLease: where messages for a destination may be handed in, and until when.
//!
//! spec: common-structures §Lease, §Lease2, §MetaLease
//!
//! ```text
//! Lease, 44:     gateway 32 | tunnel 4 | end 8, ms
//! Lease2, 40:    gateway 32 | tunnel 4 | end 4, s
//! MetaLease, 40: gateway or LeaseSet 32 | flags 3 | cost 1 | end 4, s
//! ```

use crate::id::{NetDbKey, RouterHash, TunnelId};
use crate::time::Wall;
use crate::wire::{Reader, Result, Writer};

/// Most leases in one LeaseSet.
pub const MAX_LEASES: u8 = 16;

/// An inbound gateway. The old and the new form on the wire differ in the width of the end only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The router that the tunnel begins at.
    pub gateway: RouterHash,
    /// The tunnel's number there.
    pub tunnel: TunnelId,
    /// When the tunnel ends.
    pub end: Wall,
}

impl Lease {
    /// Length of a Lease.
    pub const LEN: usize = 44;
    /// Length of a Lease2.
    pub const LEN2: usize = 40;

    /// Reads a Lease.
    ///
    /// # Errors
    /// `Truncated`.
    pub fn parse(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self { gateway: RouterHash(r.array()?), tunnel: TunnelId(r.u32()?), end: Wall(r.u64()?) })
    }

    /// Appends a Lease.
    pub fn write(&self, w: &mut impl Writer) {
        w.put(&self.gateway.0);
        w.put_u32(self.tunnel.0);
        w.put_u64(self.end.0);
    }

    /// Reads a Lease2.
    ///
    /// # Errors
    /// `Truncated`.
    pub fn parse2(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self { gateway: RouterHash(r.array()?), tunnel: TunnelId(r.u32()?), end: Wall::from_secs(r.u32()?) })
    }

    /// Appends a Lease2; the end is cut to whole seconds.
    pub fn write2(&self, w: &mut impl Writer) {
        w.put(&self.gateway.0);
        w.put_u32(self.tunnel.0);
        w.put_u32(self.end.secs());
    }
}

/// Another LeaseSet that stands for the same destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetaLease {
    /// Where that LeaseSet is found.
    pub key: NetDbKey,
    /// 24 bits; the lowest four are the DatabaseStore type of the entry, 0 if unknown.
    pub flags: u32,
    /// Lower is better.
    pub cost: u8,
    /// When it ends.
    pub end: Wall,
}

impl MetaLease {
    /// Length on the wire.
    pub const LEN: usize = 40;

    /// Reads a MetaLease.
    ///
    /// # Errors
    /// `Truncated`.
    pub fn parse(r: &mut Reader<'_>) -> Result<Self> {
        let key = NetDbKey(r.array()?);
        let flags_and_cost = r.u32()?;
        Ok(Self {
            key,
            flags: flags_and_cost >> 8,
            cost: flags_and_cost.to_be_bytes()[3],
            end: Wall::from_secs(r.u32()?),
        })
    }

    /// Appends a MetaLease.
    pub fn write(&self, w: &mut impl Writer) {
        w.put(&self.key.0);
        w.put_u32(self.flags << 8 | u32::from(self.cost));
        w.put_u32(self.end.secs());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn all_three_are_read_back(hash: [u8; 32], tunnel: u32, end: u32, flags in 0u32..1 << 24, cost: u8) {
            let lease = Lease { gateway: RouterHash(hash), tunnel: TunnelId(tunnel), end: Wall::from_secs(end) };
            let meta = MetaLease { key: NetDbKey(hash), flags, cost, end: Wall::from_secs(end) };
            let (mut one, mut two, mut three) = (Vec::new(), Vec::new(), Vec::new());
            lease.write(&mut one);
            lease.write2(&mut two);
            meta.write(&mut three);
            prop_assert_eq!((one.len(), two.len(), three.len()), (Lease::LEN, Lease::LEN2, MetaLease::LEN));
            prop_assert_eq!(Lease::parse(&mut Reader::new(&one)), Ok(lease));
            prop_assert_eq!(Lease::parse2(&mut Reader::new(&two)), Ok(lease));
            prop_assert_eq!(MetaLease::parse(&mut Reader::new(&three)), Ok(meta));
            for n in 0..40 {
                prop_assert!(Lease::parse(&mut Reader::new(&one[..n])).is_err());
                prop_assert!(Lease::parse2(&mut Reader::new(&two[..n])).is_err());
                prop_assert!(MetaLease::parse(&mut Reader::new(&three[..n])).is_err());
            }
        }
    }
}
