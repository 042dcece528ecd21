"""curl at Ramson's proxies under two names is two destinations for i2pd's web server; an account is asked for by digest; calls beyond a filter are refused."""

import os
import re

from ..applications import PARTNER_PROXY, PROXY, SOCKS, Applications, curl, download
from ..outcome import Failed, eventually

NEEDS_RAMSON = True
NETWORK = Applications
_ASKS = 4612
_PATIENCE = 90  # seconds for the tunnels of a new destination


def run(net):
    ramson, site = net.subject, f"http://{net.partner.name_of('site')}"
    small = net.web.file(1_000)
    download(net, small, "--proxy", f"http://{ramson.ip}:{PROXY}", f"{site}/{small.path}")
    names = {}
    for user in ("alice", "bob", "alice"):
        for kind, way in (
            ("http", ("--proxy", f"http://{user}:x@{ramson.ip}:{PROXY}")),
            ("socks", ("--proxy", f"socks5h://{user}:x@{ramson.ip}:{SOCKS}")),
        ):
            name = eventually(_PATIENCE, lambda way=way: _seen(*way, f"{site}/headers"), 1)
            if not name or names.setdefault((kind, user), name) != name:
                raise Failed(f"{user} by {kind} is {name}, and was {names.get((kind, user))}", ramson, net.partner)
    if len(set(names.values())) != len(names):
        raise Failed(f"two users are one destination: {names}", ramson)
    _accounts(net, f"{site}/{small.path}", small)
    _filter(net, small)
    return "two users by two proxies are four destinations; digest as curl does it; the third call within a minute refused by a filter"


def _seen(*options):
    """By which name i2pd's web server knows who asks."""
    heard = curl(*options, limit=40)[1].decode("utf-8", "replace").lower()
    found = re.search(r"x-i2p-destb32: (\S+)", heard)
    return found and found[1]


def _accounts(net, page, file):
    ramson = net.subject
    ramson.reach("asks", _ASKS, "", kind="http-proxy", auth="digest", accounts=["alice:right"])
    ramson.reload()
    proxy = ("--proxy", f"http://{ramson.ip}:{_ASKS}", "--proxy-digest", "--proxy-user")
    download(net, file, *proxy, "alice:right", page)
    codes = [curl(*proxy, who, page, "--output", "/dev/null", "--write-out", "%{http_code}")[1] for who in ("alice:wrong", "bob:right")]
    ramson.forget("asks")
    if codes != [b"407", b"407"]:
        raise Failed(f"who has no account is answered {codes}", ramson)


def _filter(net, file):
    ramson, partner = net.subject, net.partner
    path, list_ = (os.path.join(net.dir, name) for name in ("filter", "often"))
    with open(path, "w") as f:
        f.write(f"3/60 default\n3/60 record {list_}\n")
    ramson.serve("guarded", net.web, kind="server", filter=path)
    ramson.reload()
    proxy = ("--proxy", f"http://{partner.ip}:{PARTNER_PROXY}", "--fail")
    page = f"http://{ramson.name_of('guarded')}/{file.path}"
    # Calls that find nobody yet do not come here, and are not counted.
    eventually(_PATIENCE, lambda: curl(*proxy, page)[0] == 0, 1)
    outcomes = [curl(*proxy, page)[0] == 0 for _ in range(3)]
    ramson.forget("guarded")
    ramson.reload()
    who = partner.name_of("proxy")
    recorded = os.path.exists(list_) and open(list_).read().split()
    if outcomes != [True, False, False] or recorded != [who]:
        raise Failed(f"after the first call {outcomes}, and recorded {recorded}", ramson, partner)
