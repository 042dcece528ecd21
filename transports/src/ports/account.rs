//! On whose account a message is sent, and how many routers may be called for it.

use ramson_protocol::id::{RouterHash, TunnelId};
use ramson_protocol::link::callers::Rates;
use ramson_protocol::time::Mono;

/// Who caused that we send a message. Never a field that the sender could choose: what is named here is the session or the
/// tunnel that brought what made us send it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Account {
    /// We ourselves.
    Ours,
    /// The router in whose session it came.
    Router(RouterHash),
    /// The tunnel of others that ends here and that it came out of.
    Tunnel(TunnelId),
    /// Strangers of whom nothing is known: what was in garlic, cells for the next hop of a tunnel.
    Strangers,
}

impl Account {
    /// Routers without a session that may be wanted at once after a pause, and how many more a minute. INTEROP: Java I2P
    /// lets a tunnel have 48 new routers called in half a minute.
    fn allowance(self) -> Option<(u128, u32, u32)> {
        let first = |hash: RouterHash| u128::from_be_bytes(std::array::from_fn(|at| hash.0[at]));
        match self {
            Self::Ours => None,
            // Who builds tunnels through us names a next hop with each.
            Self::Router(hash) => Some((first(hash), 96, 192)),
            Self::Tunnel(id) => Some((u128::from(id.0) << 1 | 1 << 127, 48, 96)),
            // All floods, and answers to whoever asked through a tunnel.
            Self::Strangers => Some((1, 512, 1200)),
        }
    }
}

/// How many routers each account has wanted lately.
#[derive(Debug, Default)]
pub(crate) struct Allowances(Rates);

impl Allowances {
    /// Counts a router that is wanted on this account; false if it has had its share.
    pub(crate) fn admit(&mut self, account: Account, now: Mono) -> bool {
        account.allowance().is_none_or(|(key, burst, per_minute)| self.0.admit_key(key, burst, per_minute, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn each_account_has_its_share_and_we_have_no_bound_here() {
        let mut allowances = Allowances::default();
        let now = Duration::from_secs(100);
        let mut wanted = |account, now| (0..10_000).filter(|_| allowances.admit(account, now)).count();
        for tunnel in [1, 2, u32::MAX] {
            assert_eq!(wanted(Account::Tunnel(TunnelId(tunnel)), now), 48);
        }
        assert_eq!(wanted(Account::Router(RouterHash([7; 32])), now), 96);
        assert_eq!(wanted(Account::Strangers, now), 512);
        assert_eq!(wanted(Account::Ours, now), 10_000);
        assert_eq!(wanted(Account::Tunnel(TunnelId(1)), now + Duration::from_secs(30)), 48);
    }
}
