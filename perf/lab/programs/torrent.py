"""libtorrent over SAM: takes part in swarms. `torrent.py FOLDER TORRENT...` prints `done TORRENT` when one is whole, and serves on."""

import os
import sys
import time

import libtorrent

FOLDER, TORRENTS = sys.argv[1], sys.argv[2:]

session = libtorrent.session({
    "i2p_hostname": "127.0.0.1",
    "i2p_port": 7656,
    "i2p_inbound_length": 2,
    "i2p_outbound_length": 2,
    "i2p_inbound_quantity": 2,
    "i2p_outbound_quantity": 2,
    "i2p_inbound_length_variance": 0,
    "i2p_outbound_length_variance": 0,
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "listen_interfaces": "",
    "min_announce_interval": 5,
    "alert_mask": libtorrent.alert.category_t.all_categories if os.environ.get("TORRENT_LOG") else 0,
})
handles = {path: session.add_torrent({"ti": libtorrent.torrent_info(path), "save_path": FOLDER}) for path in TORRENTS}
done, asked = set(), time.monotonic()
while True:
    time.sleep(0.5)
    for path, handle in handles.items():
        status = handle.status()
        if status.is_seeding and path not in done:
            done.add(path)
            print("done", path, flush=True)
    if time.monotonic() > asked + 15:
        asked = time.monotonic()
        for path, handle in handles.items():
            status = handle.status()
            handle.force_reannounce()
            print("state", os.path.basename(path), status.state, f"{status.progress:.2f}", status.num_peers, status.list_peers,
                  [tracker["message"] for tracker in handle.trackers()], flush=True)
    for alert in session.pop_alerts():
        print("alert", alert, flush=True)
