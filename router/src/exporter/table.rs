//! What the exporter itself reads at each scrape: the process, the data plane, and what is asked of the node.

use ramson_actors::series;

series! {
    /// All series that are read at a scrape.
    TABLE {
        Gauge BUILD = "ramson_build_info" ["version", "commit", "api", "cipher", "aead"]
            "Always 1: version, commit, the version of I2P's interfaces, and which of the ciphers' implementations this processor runs.";
        Gauge PUBLISHED = "ramson_published_info" ["caps", "bandwidth", "network"]
            "Always 1: the capabilities that our RouterInfo says, of them the bandwidth letter, and the number of the network.";
        Gauge PUBLISHED_AGE = "ramson_router_info_age_seconds" []
            "Time since our RouterInfo was signed; it is signed anew every 18 minutes.";
        Gauge STARTED = "process_start_time_seconds" []
            "When the process began, in seconds since 1970.";
        Gauge UPTIME = "ramson_uptime_seconds" []
            "Time since the exporter began.";
        Gauge READY = "ramson_ready" []
            "1 if the router can do its work: what /health/ready answers by.";
        Gauge OPEN_FDS = "process_open_fds" []
            "Descriptors that the process has open.";
        Gauge MAX_FDS = "process_max_fds" []
            "Descriptors that the process may have open.";
        Counter CPU = "process_cpu_seconds_total" []
            "Processor time of all threads, user and system.";
        Gauge MEMORY = "process_resident_memory_bytes" []
            "Resident memory.";
        Gauge DATABASE_BYTES = "ramson_netdb_file_bytes" []
            "Size of the file of the network database.";
        Gauge DATABASE_WRITTEN = "ramson_netdb_file_written_timestamp_seconds" []
            "When the file of the network database was last changed, in seconds since 1970.";
        Gauge DISK_FREE = "ramson_disk_free_bytes" []
            "Room on the disk of the data folder that we may use.";
        Counter UDP_OVERRUNS = "ramson_udp_receive_overruns_total" []
            "Datagrams that the kernel threw away because a socket's buffer was full, of all sockets of this machine or container.";
        Counter ACCEPT_ERRORS = "ramson_accept_errors_total" []
            "Callers over NTCP2 that could not be accepted, mostly for want of descriptors.";
        Gauge VOLUME_USED = "ramson_volume_used_bytes" []
            "What has gone over the line in this calendar month, both directions together.";
        Gauge VOLUME_QUOTA = "ramson_volume_quota_bytes" []
            "What may go over it in a calendar month; 0 is without bound.";
        Counter RELOADS = "ramson_reloads_total" ["outcome"]
            "Times that the configuration was read again: put in force (ok), or refused because of an error (failed).";
        Gauge MAILBOX = "ramson_mailbox_depth" ["actor"]
            "Messages that wait in the mailboxes of actors.";
        Counter MAILBOX_REFUSED = "ramson_mailbox_refused_total" ["actor"]
            "Messages that were lost since the mailbox of an actor was full.";
        Gauge SESSIONS = "ramson_sessions" ["transport", "direction"]
            "Sessions now open; in are those that peers began.";
        Counter BYTES = "ramson_bytes_total" ["transport", "direction"]
            "Bytes that went through sockets.";
        Counter FRAMES = "ramson_frames_total" ["transport", "direction"]
            "Frames of NTCP2, datagrams of SSU2.";
        Counter MESSAGES = "ramson_messages_total" ["transport", "direction", "type"]
            "I2NP messages between us and peers.";
        Counter MESSAGE_BYTES = "ramson_message_bytes_total" ["transport", "direction", "type"]
            "Bytes of the bodies of I2NP messages.";
        Counter CLOSED = "ramson_sessions_closed_total" ["transport", "reason"]
            "Sessions ended, by the termination reason of whoever ended them.";
        Counter HANDSHAKES = "ramson_handshakes_total" ["transport", "direction", "outcome"]
            "Handshakes by how they ended.";
        Counter CELLS = "ramson_cells_total" ["role"]
            "Cells of tunnels by our part in the tunnel.";
        Counter CLASS_BYTES = "ramson_class_bytes_total" ["class"]
            "Bytes let out by class, before padding and the transports' own messages.";
        Counter DROPS = "ramson_drops_total" ["cause"]
            "Cells and messages that the data plane and the client plane dropped.";
        Counter REASSEMBLY = "ramson_reassembly_total" ["event"]
            "Messages out of tunnels that end here, and why some did not come out.";
        Counter DESTINATIONS = "ramson_destination_events_total" ["part", "event"]
            "What our own destinations have sent, opened, refused and ended.";
        Gauge DESTINATION_SIZES = "ramson_destination_size" ["what"]
            "Our own destinations, their sessions with others, the tags that these wait for, and their streams.";
        Gauge HOPS = "ramson_hops" []
            "Tunnels in the table of the data plane, of others and our own.";
        Gauge IV_FALSE_POSITIVES = "ramson_iv_filter_false_positive_ratio" []
            "The chance that a fresh cell is taken for a repeated one, in the thread where it is greatest.";
        Gauge IV_BYTES = "ramson_iv_filter_bytes" []
            "Memory of the filters of repeated cells.";
        Counter IV_FORGOTTEN = "ramson_iv_filter_forgotten_early_total" []
            "Generations of the filters of repeated cells that ended before their time, at the limit of their memory.";
        Counter TURNS = "ramson_loop_turns_total" ["thread"]
            "Turns of the I/O and client threads' loops.";
        Counter BUSY = "ramson_loop_busy_seconds_total" ["thread"]
            "Time that the I/O and client threads spent in turns, without the waiting.";
        Gauge INBOX = "ramson_loop_inbox_depth" ["thread"]
            "Entries in the I/O and client threads' inboxes at the start of a turn.";
        Gauge NEWS_WAITING = "ramson_loop_news_waiting" ["thread"]
            "News of sessions and calls that wait for room in the control plane.";
        Gauge QUEUED = "ramson_loop_queued_bytes" ["thread"]
            "Bytes that wait for sockets to take them.";
        Gauge HELD = "ramson_held_bytes" ["kind"]
            "Memory that others make us hold: in their sessions, for routers without a session, and for messages whose rest has not come.";
        Histogram TURN = "ramson_loop_turn_seconds" []
            "Length of a turn of an I/O thread's loop.";
        Histogram CELLS_PER_READ = "ramson_cells_per_read" []
            "Cells found in one read.";
        Histogram CELLS_PER_WRITE = "ramson_cells_per_write" []
            "Cells sent with one write.";
        Histogram LANES = "ramson_cipher_lanes" []
            "Cells in one run of the tunnel cipher.";
        Gauge LINE_LIMIT = "ramson_line_limit_bytes_per_second" ["direction"]
            "What the line may bear, as configured.";
        Gauge LINE_FREE = "ramson_line_free_bytes" ["direction"]
            "What may go at once before the limit of the line holds it back; below zero is a debt.";
        Gauge WAITING_CELLS = "ramson_waiting_cells" []
            "Cells of others that wait for their part of the line.";
        Gauge WAITING_TUNNELS = "ramson_waiting_tunnels" []
            "Tunnels with cells that wait.";
        Counter SSU2_SERVICES = "ramson_ssu2_services_total" ["service", "role", "event"]
            "Peer tests and introductions, by our part in them and what happened.";
        Gauge REACHABILITY = "ramson_reachability" ["family", "status"]
            "1 for what peer tests say of how we can be reached, 0 for the other verdicts.";
        Gauge INTRODUCERS = "ramson_ssu2_introducers" []
            "Routers that introduce others to us.";
        Gauge INTRODUCED = "ramson_ssu2_introduced" []
            "Routers that we introduce others to.";
        Counter SSU2_EVENTS = "ramson_ssu2_session_events_total" ["event"]
            "What the sessions of SSU2 have counted.";
        Gauge SSU2_RTT = "ramson_ssu2_rtt_seconds" []
            "The mean round trip of the sessions of SSU2.";
        Counter SSU2_STRANGERS = "ramson_ssu2_strangers_dropped_total" ["cause"]
            "Datagrams outside of sessions that were dropped.";
        Counter SSU2_RETRIES = "ramson_ssu2_retries_total" ["direction"]
            "Retry messages of SSU2: a token was asked for first.";
        Counter SSU2_RESENDS = "ramson_ssu2_handshake_resends_total" ["direction"]
            "Handshake messages of SSU2 that were sent again.";
        Gauge SSU2_PENDING = "ramson_ssu2_handshakes_pending" ["direction"]
            "Handshakes of SSU2 under way.";
        Counter LOG_LINES = "ramson_log_lines_left_out_total" []
            "Lines that one place in the code would have written too many of.";
        Counter LOG_BY_LEVEL = "ramson_log_lines_total" ["level"]
            "Lines of the log by level, those that were left out among them.";
    }
}
