"""At SIGHUP tunnels come, change and go at Ramson, while a download through one that stays goes on."""

import hashlib
import subprocess

from ..applications import Applications, curl, download
from ..outcome import Failed, eventually

NEEDS_RAMSON = True
NETWORK = Applications
_STAYS, _COMES = 4610, 4611


def run(net):
    ramson, site = net.subject, net.partner.name_of("plain")
    small, large = net.web.file(1_000), net.web.file(5_000_000)
    ramson.reach("stays", _STAYS, site)
    ramson.reload()
    download(net, small, f"http://{ramson.ip}:{_STAYS}/{small.path}")
    slow = ["curl", "-sS", "--limit-rate", "1M", "--max-time", "90", f"http://{ramson.ip}:{_STAYS}/{large.path}"]
    with subprocess.Popen(slow, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as going_on:
        ramson.reach("comes", _COMES, site, kind="socks")
        ramson.reload()
        download(net, small, "--socks5-hostname", f"{ramson.ip}:{_COMES}", f"http://{site}/{small.path}")
        ramson.forget("comes")
        ramson.reload()
        if not eventually(20, lambda: curl(f"http://{ramson.ip}:{_COMES}/")[0] == 7, 0.5):
            raise Failed("a tunnel that is not in the configuration any more still listens", ramson)
        body, words = going_on.communicate(timeout=120)
    if hashlib.sha256(body).hexdigest() != large.sha256:
        raise Failed(f"the download beside it: {len(body)} of {large.size} bytes, {words.decode()}", ramson, net.partner)
    ramson.forget("stays")
    ramson.reload()
    return "a tunnel came and went while 5 MB went through another"
