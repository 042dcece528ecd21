//! A peer that does what it must not, and watches how the router takes it.
//!
//! Each [`Mode`] is one bad habit. It fails if the router's observable behaviour is not what the specifications ask for:
//! strangers learn nothing, a known peer is told why it is refused, and whoever means well is served meanwhile. What can
//! be seen only from within is named as a counter that must have grown ([`Context::expect`]).

mod crowd;
mod crowding;
mod datagrams;
mod errands;
mod frames;
mod introductions;
mod netdb;
mod packets;
mod request;
mod strangers;
mod sybils;
mod tunnels;

use crate::peer::{BuildAnswer, HopRequest, Identity, Link, Outcome, Sealed, Target, UdpLink, now};
use ramson_protocol::id::TunnelId;
use ramson_protocol::tunnel::Role;
use rand::Rng;
use rand_chacha::ChaCha20Rng;
use std::time::Duration;

/// How long a well-meant request may wait for its answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// One bad habit.
pub struct Mode {
    /// Its name on the command line.
    pub name: &'static str,
    run: fn(&mut Context) -> Outcome<()>,
}

const fn mode(name: &'static str, run: fn(&mut Context) -> Outcome<()>) -> Mode {
    Mode { name, run }
}

/// All of them.
pub const MODES: &[Mode] = &[
    mode("random-bytes", strangers::random_bytes),
    mode("slow-handshakes", strangers::slow_handshakes),
    mode("replayed-message-1", strangers::replayed_message_1),
    mode("wrong-network", strangers::wrong_network),
    mode("wrong-version", strangers::wrong_version),
    mode("oversize-message-3", strangers::oversize_message_3),
    mode("clock-61s", introductions::clock_61s),
    mode("clock-10min", introductions::clock_10min),
    mode("router-info-signature", introductions::bad_signature),
    mode("router-info-old", introductions::too_old),
    mode("router-info-future", introductions::from_the_future),
    mode("router-info-oversize", introductions::oversize),
    mode("router-info-network", introductions::other_network),
    mode("router-info-static-key", introductions::other_static_key),
    mode("frame-length", frames::bad_length),
    mode("frame-mac", frames::bad_mac),
    mode("frame-blocks", frames::bad_blocks),
    mode("gzip-bomb", netdb::gzip_bomb),
    mode("store-signature", netdb::bad_signature),
    mode("netdb-pairs", crowding::pairs),
    mode("netdb-made-up-routers", crowding::made_up_routers),
    mode("netdb-amplified-lookups", crowding::amplified_lookups),
    mode("netdb-lookups-in-anothers-name", crowding::lookups_in_anothers_name),
    mode("netdb-forged-stores-to-confirm", crowding::forged_stores_to_confirm),
    mode("netdb-slow-signatures", crowding::slow_signatures),
    mode("netdb-garlic-flood", crowding::garlic_flood),
    mode("netdb-exact-clock", crowding::exact_clock),
    mode("netdb-own-router-info", crowding::own_router_info),
    mode("build-replay", tunnels::build_replay),
    mode("unknown-tunnel", tunnels::unknown_tunnel),
    mode("stolen-tunnel", tunnels::stolen_tunnel),
    mode("repeated-iv", tunnels::repeated_iv),
    mode("build-flood", tunnels::build_flood),
    mode("strange-hops", errands::strange_hops),
    mode("strange-goals", errands::strange_goals),
    mode("unfinished-messages", errands::unfinished),
    mode("build-without-previous", errands::build_without_previous),
    mode("small-messages", errands::small_messages),
    mode("silent-crowd", errands::silent_crowd),
    mode("deaf-peers", errands::deaf),
    mode("honest-caller", errands::honest),
    mode("sybils", sybils::crowd),
    mode("ssu2-token-flood", datagrams::token_flood),
    mode("ssu2-request-flood", datagrams::request_flood),
    mode("ssu2-garbage", datagrams::garbage),
    mode("ssu2-replay", datagrams::replay),
    mode("ssu2-blocks", packets::bad_blocks),
    mode("ssu2-acks", packets::acks_of_unsent),
    mode("ssu2-services", packets::services),
    mode("ssu2-tag-flood", packets::tag_flood),
    mode("ssu2-migration", packets::migration),
];

/// Those that take minutes, and are not among all.
pub const LONG_MODES: &[Mode] = &[mode("sybils-for-minutes", sybils::long_crowd)];

/// Runs a mode: the lines to be printed, and whether the router behaved. `pid` is the router's process, if its processor
/// time is to be told.
pub fn run(mode: &Mode, target: Target, pid: Option<u32>) -> (Vec<String>, Outcome<()>) {
    let mut cx = Context { target, pid, rng: rand::make_rng(), report: Vec::new() };
    let result = (mode.run)(&mut cx);
    (cx.report, result)
}

/// What a mode works with.
struct Context {
    target: Target,
    pid: Option<u32>,
    rng: ChaCha20Rng,
    report: Vec<String>,
}

impl Context {
    /// A counter of the router's exporter that must have grown.
    fn expect(&mut self, metric: &str) {
        self.report.push(format!("expect {metric}"));
    }

    /// A handshake outcome whose counter must have grown.
    fn expect_handshake(&mut self, outcome: &str) {
        self.expect(&format!("ramson_handshakes_total{{transport=\"ntcp2\",direction=\"in\",outcome=\"{outcome}\"}}"));
    }

    /// A fact.
    fn saw(&mut self, fact: impl AsRef<str>) {
        self.report.push(format!("saw {}", fact.as_ref()));
    }

    /// A new router that means well so far.
    fn identity(&mut self) -> Outcome<Identity> {
        Identity::new(self.target.net_id, now().wall, &mut self.rng)
    }

    /// A new router with a session that stands.
    fn peer(&mut self) -> Outcome<(Identity, Link)> {
        let who = self.identity()?;
        let mut link = Link::open(&self.target, &who, &mut self.rng)?;
        link.wait_until_up(PATIENCE)?;
        Ok((who, link))
    }

    /// A new router with a session over SSU2 that stands.
    fn udp_peer(&mut self) -> Outcome<(Identity, UdpLink)> {
        let who = self.identity()?;
        let mut link = UdpLink::open(&self.target, &who, &mut self.rng)?;
        require(link.is_greeted(PATIENCE)?, "the router says nothing after the handshake")?;
        Ok((who, link))
    }

    /// Fails unless the router serves two new peers over SSU2 as it should.
    fn still_serves_udp(&mut self) -> Outcome<()> {
        let ((_, mut from), (next, mut to)) = (self.udp_peer()?, self.udp_peer()?);
        let build = self.build(Role::Participant, &next)?;
        from.send(&build.message)?;
        let answer = to.wait_for(PATIENCE, |message| build.answer(message).is_some())?;
        match answer.and_then(|message| build.answer(&message)).ok_or("a build request was not answered")? {
            BuildAnswer::Accepted => self.saw("a tunnel of others built afterwards"),
            BuildAnswer::Refused(code) => self.saw(format!("a tunnel of others refused with {code} afterwards")),
        }
        Ok(())
    }

    /// A datagram of SSU2 that the router drops for this cause must have come.
    fn expect_dropped(&mut self, cause: &str) {
        self.expect(&format!("ramson_ssu2_strangers_dropped_total{{cause=\"{cause}\"}}"));
    }

    /// Something in a session of SSU2.
    fn expect_event(&mut self, event: &str) {
        self.expect(&format!("ramson_ssu2_session_events_total{{event=\"{event}\"}}"));
    }

    /// A tunnel number.
    fn tunnel_id(&mut self) -> TunnelId {
        TunnelId(self.rng.next_u32().max(1))
    }

    /// A build of which the router is the only real hop, and `next` the next one.
    fn build(&mut self, role: Role, next: &Identity) -> Outcome<Sealed> {
        let (receive, next_tunnel) = (self.tunnel_id(), self.tunnel_id());
        HopRequest { receive, role, next: next.hash, next_tunnel }.seal(&self.target, &mut self.rng)
    }

    /// Sends a build from `from` and waits for its answer at `to`, who is its next hop.
    fn ask(&mut self, build: &Sealed, from: &mut Link, to: &mut Link) -> Outcome<BuildAnswer> {
        from.send(std::slice::from_ref(&build.message))?;
        let message = to.wait_for(PATIENCE, |message| build.answer(message).is_some())?;
        message.and_then(|m| build.answer(&m)).ok_or_else(|| "a build request was not answered".into())
    }

    /// Fails unless the router serves two new peers as it should.
    fn still_serves(&mut self) -> Outcome<()> {
        let ((_, mut from), (next, mut to)) = (self.peer()?, self.peer()?);
        let build = self.build(Role::Participant, &next)?;
        match self.ask(&build, &mut from, &mut to)? {
            BuildAnswer::Accepted => self.saw("a tunnel of others built afterwards"),
            BuildAnswer::Refused(code) => self.saw(format!("a tunnel of others refused with {code} afterwards")),
        }
        Ok(())
    }
}

/// Fails with `text` unless `held`.
fn require(held: bool, text: impl Into<String>) -> Outcome<()> {
    if held { Ok(()) } else { Err(text.into().into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_has_a_name_of_its_own() {
        let names: std::collections::HashSet<_> = MODES.iter().map(|mode| mode.name).collect();
        assert_eq!(names.len(), MODES.len());
    }
}
