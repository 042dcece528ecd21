//! What this build is.

use ramson_actors::identity::API_VERSION;
use std::sync::LazyLock;

/// The commit that it was made from, as far as that was known.
pub(crate) const COMMIT: &str = env!("RAMSON_COMMIT");

/// Version, commit and the version of I2P's interfaces that we speak.
pub(crate) fn long() -> &'static str {
    static LONG: LazyLock<String> =
        LazyLock::new(|| format!("{} (commit {COMMIT}, API {API_VERSION})", env!("CARGO_PKG_VERSION")));
    &LONG
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_names_the_commit_and_the_interfaces() {
        let long = super::long();
        assert!(long.starts_with(env!("CARGO_PKG_VERSION")) && long.contains("API 0.9."), "{long}");
        assert!(!super::COMMIT.is_empty());
    }
}
