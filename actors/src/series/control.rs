//! What the control plane exports. It counts through the recorder of the process as things happen.

use crate::drops::ControlDrop;
use crate::series;
use crate::series::outcomes::{
    BuildOutcome, ClockOutcome, FetchOutcome, GatewayOutcome, LookupOutcome, LookupWay, Publication, RequestAnswer,
    RequestReason, ReseedOutcome, SearchOutcome, StoreOutcome, TestOutcome,
};
use crate::series::{Counter, Vocabulary};
use ramson_protocol::i2cp::server::Refused;

series! {
    /// All series of the control plane.
    TABLE {
        Counter DROPS = "ramson_control_drops_total" ["reason"]
            "Messages that the control plane dropped, and commands that were lost.";
        Gauge CONNECTIONS = "ramson_connections" []
            "Routers that we are connected to or call.";
        Gauge CALLS = "ramson_calls" ["errand"]
            "Routers that are looked for or called now: on our errands, or because of what others sent us.";
        Gauge RESTING = "ramson_routers_resting" []
            "Routers that could not be reached lately.";
        Counter CALLS_REFUSED = "ramson_calls_refused_total" ["errand", "reason"]
            "Calls that did not begin, on whose errand and why; it says nothing about those who would have been called.";
        Counter CONNECT_FAILURES = "ramson_connect_failures_total" ["reason"]
            "Routers that could not be reached by any of their addresses.";
        Gauge CLOCK_CORRECTION = "ramson_clock_correction_seconds" []
            "How far our clock is ahead of this machine's, by the word of time servers and peers.";
        Gauge CLOCK_CONFIRMED = "ramson_clock_confirmed" []
            "1 once several time servers or peers agree with our clock.";
        Counter CLOCK_CORRECTIONS = "ramson_clock_corrections_total" ["by"]
            "Corrections of our clock, by whose word.";
        Counter CLOCK_JUMPS = "ramson_clock_jumps_total" []
            "Jumps of this machine's clock.";
        Counter CLOCK_DISAGREEMENTS = "ramson_clock_disagreements_total" []
            "Rounds in which time servers contradicted our peers, or what they had said before.";
        Counter CLOCK_SERVERS = "ramson_clock_servers_total" ["outcome"]
            "Time servers that were asked, by what came of it.";
        Gauge REACHABLE = "ramson_published" ["family"]
            "1 if we publish an address of this family at which peers can call us.";
        Counter GATEWAY = "ramson_gateway_requests_total" ["protocol", "outcome"]
            "Requests to the gateway before us to map a port, by what came of it.";
        Counter DUPLICATES = "ramson_message_ids_total" ["event"]
            "Message ids in the filters of repeated messages; forgotten_early are those that were forgotten for want of room.";
        Counter NEWS_DEFERRED = "ramson_control_news_deferred_total" []
            "News of the data plane that found no room and were offered again later; none is lost.";
        Counter UNEXPECTED_ENDS = "ramson_unexpected_ends_total" []
            "Actors and threads that have ended though nobody asked them to; the log names them.";
        Gauge BLOCKLIST = "ramson_blocklist_entries" ["kind"]
            "Entries of the blocklist that is in force.";
        Counter CHARGES = "ramson_charges_total" ["fault"]
            "Faults that the judge has heard of, by whose they were.";
        Counter BANS = "ramson_bans_total" ["kind", "reason"]
            "Routers, addresses and networks that were banned for a while, by the fault that tipped the scales; operator, if it was told us.";
        Gauge BANNED = "ramson_banned" ["kind"]
            "Routers, addresses and networks that are banned now.";
        Gauge OWN_TUNNELS = "ramson_own_tunnels" ["pool", "direction"]
            "Tunnels of our own that are ready for use, in pools of the router (exploratory) and of destinations (client).";
        Counter OWN_BUILDS = "ramson_own_builds_total" ["direction", "result"]
            "Builds of our own tunnels by how they ended.";
        Counter POOL = "ramson_pool_events_total" ["event"]
            "What the pools of our own tunnels have done and met, both directions together.";
        Counter TUNNEL_TESTS = "ramson_tunnel_tests_total" ["result"]
            "Tests of our own tunnels that came back or did not.";
        Histogram TUNNEL_TEST_TIME = "ramson_tunnel_test_seconds" []
            "The round trip through an outbound and an inbound tunnel of our own.";
        Counter DESTINATION_PUBLISHES = "ramson_destination_publishes_total" ["outcome"]
            "Rounds of publishing lease sets of our own destinations, by whether a floodfill confirmed it.";
        Counter DESTINATION_LOOKUPS = "ramson_destination_lookups_total" ["outcome"]
            "Searches of our own destinations for lease sets of others, by how they ended.";
        Gauge PROFILES = "ramson_peer_profiles" []
            "Routers whose behaviour we keep a profile of.";
        Gauge USABLE = "ramson_peers_usable" []
            "Routers of these through which we would build a tunnel now.";
        Gauge SILENT = "ramson_network_silent" []
            "1 while nothing comes in from any router, which is our own line's fault and noted of nobody.";
        Gauge CONGESTION = "ramson_congestion_level" []
            "How congested we say that we are: 0 is not at all, 1 is D, 2 is E, 3 is G.";
        Gauge STRAIN = "ramson_strain_ratio" []
            "How much of the busiest I/O thread, or of the workers that open build requests, is in use; beside the line it decides what is admitted.";
        Gauge TRANSIT_TUNNELS = "ramson_transit_tunnels" ["role"]
            "Tunnels of others that pass through us, by our part in them.";
        Gauge TRANSIT_PROMISED = "ramson_transit_promised_bytes_per_second" []
            "Bandwidth that tunnels of others were promised when they were accepted.";
        Gauge TRANSIT_LIMIT = "ramson_transit_limit_bytes_per_second" []
            "Bandwidth that tunnels of others may use together, as configured; the bandwidth letter that we publish follows it.";
        Gauge TRANSIT_TUNNELS_LIMIT = "ramson_transit_tunnels_limit" []
            "Tunnels of others that we carry at most, as configured.";
        Counter BUILD_REQUESTS = "ramson_build_requests_total" ["answer", "reason"]
            "Requests of others to build a tunnel through us, by answer and why.";
        Gauge NETDB_ENTRIES = "ramson_netdb_entries" ["kind"]
            "Entries of the network database.";
        Gauge NETDB_FLOODFILLS = "ramson_netdb_floodfills" []
            "Floodfills among the routers that we know.";
        Counter NETDB_STORE = "ramson_netdb_store_events_total" ["event"]
            "What became of entries of the network database.";
        Counter NETDB_STORES = "ramson_netdb_stores_total" ["outcome"]
            "Entries that others sent us, by what the rules said.";
        Counter NETDB_LOOKUPS = "ramson_netdb_lookups_total" ["outcome"]
            "Lookups of others, by answer; throttled are those of routers that ask too often.";
        Counter NETDB_FLOODS = "ramson_netdb_floods_total" []
            "Copies of entries that we sent to other floodfills.";
        Counter NETDB_STORAGE_ERRORS = "ramson_netdb_storage_errors_total" []
            "Batches that could not be written to disk.";
        Gauge NETDB_SEARCHES_RUNNING = "ramson_netdb_searches_running" []
            "Searches in the network that are under way.";
        Counter NETDB_SEARCHES = "ramson_netdb_searches_total" ["outcome"]
            "Searches in the network that have ended.";
        Counter NETDB_QUERIES = "ramson_netdb_queries_total" ["via"]
            "Lookups that we sent, through our tunnels or in a session.";
        Counter NETDB_REPLIES = "ramson_netdb_replies_total" ["kind", "via"]
            "Answers to our lookups.";
        Counter NETDB_PUBLISHES = "ramson_netdb_publishes_total" ["outcome"]
            "Rounds of publishing our own RouterInfo, by whether a floodfill confirmed it.";
        Counter NETDB_PUBLISHER = "ramson_netdb_publish_stores_total" ["event"]
            "Stores of our own RouterInfo with floodfills, by what came of them.";
        Counter RESEEDS = "ramson_reseeds_total" ["outcome"]
            "Rounds of reseeding by what they brought: routers of several signers, those of bundles that were kept, or nothing.";
        Gauge SAM_SOCKETS = "ramson_sam_sockets" []
            "Sockets of programs at the SAM server.";
        Gauge SAM_SESSIONS = "ramson_sam_sessions" ["style"]
            "Sessions of programs by SAM, parts of primary ones among them.";
        Gauge SAM_STREAMS = "ramson_sam_streams" ["way"]
            "Streams of programs by SAM, by how they have them.";
        Counter SAM_REPLIES = "ramson_sam_replies_total" ["subject", "result"]
            "What the SAM server has answered, and how what was asked for has ended.";
        Gauge I2CP_CONNECTIONS = "ramson_i2cp_connections" []
            "Programs that are connected by I2CP.";
        Gauge I2CP_SESSIONS = "ramson_i2cp_sessions" []
            "Destinations that programs have by I2CP.";
        Counter I2CP_PAYLOADS = "ramson_i2cp_payloads_total" ["event"]
            "Payloads that programs sent by I2CP, and that came for them.";
        Counter I2CP_REFUSED = "ramson_i2cp_refused_total" ["reason"]
            "What programs said by I2CP that was not done, and why.";
        Counter RESEED_FETCHES = "ramson_reseed_fetches_total" ["outcome"]
            "Reseed hosts that were asked, by what came of it.";
    }
}

/// The labels whose words all stand in a list, with what each word means.
pub fn vocabularies() -> Vec<Vocabulary> {
    macro_rules! words {
        ($($series:ident $label:literal $words:ident,)*) => {
            vec![$(Vocabulary {
                series: $series.row(),
                label: $label,
                words: $words::ALL.iter().map(|word| (word.label(), word.about())).collect(),
            }),*]
        };
    }
    words! {
        DROPS "reason" ControlDrop,
        OWN_BUILDS "result" BuildOutcome,
        TUNNEL_TESTS "result" TestOutcome,
        BUILD_REQUESTS "answer" RequestAnswer,
        BUILD_REQUESTS "reason" RequestReason,
        NETDB_STORES "outcome" StoreOutcome,
        NETDB_LOOKUPS "outcome" LookupOutcome,
        NETDB_SEARCHES "outcome" SearchOutcome,
        NETDB_QUERIES "via" LookupWay,
        NETDB_PUBLISHES "outcome" Publication,
        GATEWAY "outcome" GatewayOutcome,
        CLOCK_SERVERS "outcome" ClockOutcome,
        RESEEDS "outcome" ReseedOutcome,
        RESEED_FETCHES "outcome" FetchOutcome,
    }
}

/// Begins the counters at zero, under all values of their labels that are known beforehand: the first event is a step then,
/// which a rate can see, and a rule over it has a value from the first scrape on.
pub fn begin() {
    for counter in [&CLOCK_JUMPS, &NEWS_DEFERRED, &UNEXPECTED_ENDS, &NETDB_FLOODS, &NETDB_STORAGE_ERRORS] {
        counter.add([], 0);
    }
    let known: [(&Counter<1>, &[&'static str]); 5] = [
        (&DUPLICATES, &["forgotten_early"]),
        (&CHARGES, &["malformed", "misbehaved", "ours"]),
        (&NETDB_STORES, &["not_newer", "bad_signature", "from_the_future", "too_old", "wrong_network"]),
        (&CONNECT_FAILURES, &["no_router_info", "no_address", "dial", "timed_out", "resting"]),
        (&I2CP_PAYLOADS, &["sent", "received"]),
    ];
    for (counter, values) in known {
        values.iter().for_each(|value| counter.add([value], 0));
    }
    vocabularies().iter().for_each(Vocabulary::begin);
    Refused::ALL.iter().for_each(|refused| I2CP_REFUSED.add([refused.label()], 0));
    for direction in ["inbound", "outbound"] {
        BuildOutcome::ALL.iter().for_each(|result| OWN_BUILDS.add([direction, result.label()], 0));
    }
    let refusals = ["draining", "tunnel_limit", "bandwidth", "minimum", "previous_hop", "next_hop", "chance"];
    BUILD_REQUESTS.add([RequestAnswer::Accepted.label(), RequestReason::Accepted.label()], 0);
    refusals.iter().for_each(|reason| BUILD_REQUESTS.add([RequestAnswer::Refused.label(), reason], 0));
}
