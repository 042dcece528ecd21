"""Four of libtorrent, two at Ramson and two at i2pd, share two files by SAM, and find each other by a tracker within I2P."""

import hashlib
import os
import time

from ..applications import Applications
from ..outcome import Failed
from ..programs import Program
from ..swarm import make_torrent, random_file

NEEDS_RAMSON = True
NETWORK = Applications
_SIZE = 3_000_000
_LIMIT = 420


def run(net):
    places = [("ramson-1", net.subject), ("ramson-2", net.subject), ("i2pd-1", net.partner), ("i2pd-2", net.partner)]
    folders = {name: os.path.join(net.dir, "torrents", name) for name, _ in places}
    tracker, files, torrents = net.partner.name_of("tracker"), {}, []
    for folder in folders.values():
        os.makedirs(folder)
    for seed in ("ramson-1", "i2pd-1"):
        name = f"of-{seed}"
        data = random_file(folders[seed], name, _SIZE)
        files[name] = hashlib.sha256(data).hexdigest()
        torrents.append(os.path.join(net.dir, "torrents", f"{name}.torrent"))
        make_torrent(torrents[-1], name, data, tracker)
    begun = time.monotonic()
    swarm = []
    try:
        swarm.extend(Program(router, "libtorrent", folders[name], *torrents) for name, router in places)
        for (name, _), member in zip(places, swarm, strict=True):
            for torrent in torrents:
                member.wait_for(f"done {torrent}", begun + _LIMIT - time.monotonic())
            _check(net, folders[name], files)
    finally:
        for member in swarm:
            with open(os.path.join(net.dir, "torrents", f"{len(member.lines)}-{id(member)}.log"), "w") as log:
                log.write("\n".join(member.lines))
            member.stop()
    return f"{len(files)} files of {_SIZE // 1_000_000} MB at all four in {time.monotonic() - begun:.0f} s"


def _check(net, folder, files):
    for name, digest in files.items():
        with open(os.path.join(folder, name), "rb") as f:
            if hashlib.sha256(f.read()).hexdigest() != digest:
                raise Failed(f"{folder} has other bytes in {name}", net.subject, net.partner)
