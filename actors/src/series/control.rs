//! What the control plane exports. It counts through the recorder of the process as things happen.

use crate::series;

series! {
    /// All series of the control plane.
    TABLE {
        Counter DROPS = "ramson_control_drops_total" ["reason"]
            "Messages that the control plane dropped, and commands that were lost.";
        Gauge CONNECTIONS = "ramson_connections" []
            "Routers that we are connected to, call, or have given up for a while.";
        Counter CONNECT_FAILURES = "ramson_connect_failures_total" ["reason"]
            "Routers that could not be reached by any of their addresses.";
        Gauge CLOCK_CORRECTION = "ramson_clock_correction_seconds" []
            "What is added to this machine's clock, by the word of our peers.";
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
            "Routers and addresses that were banned for a while, by the fault that tipped the scales.";
        Gauge BANNED = "ramson_banned" ["kind"]
            "Routers and addresses that are banned now.";
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
        Gauge CONGESTION = "ramson_congestion_level" []
            "How congested we say that we are: 0 is not at all, 1 is D, 2 is E, 3 is G.";
        Gauge TRANSIT_TUNNELS = "ramson_transit_tunnels" ["role"]
            "Tunnels of others that pass through us, by our part in them.";
        Gauge TRANSIT_PROMISED = "ramson_transit_promised_bytes_per_second" []
            "Bandwidth that tunnels of others were promised when they were accepted.";
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
    }
}
