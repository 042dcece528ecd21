"""I2PControl at Ramson answers what i2pd's does, with the same keys and kinds of values, and nothing to whoever has no token."""

from .. import i2pcontrol
from ..applications import Applications
from ..outcome import Failed
from ..ramson import PASSWORD

NEEDS_RAMSON = True
NETWORK = Applications

_INFO = (
    "i2p.router.uptime i2p.router.version i2p.router.status i2p.router.netdb.knownpeers i2p.router.netdb.activepeers "
    "i2p.router.net.bw.inbound.1s i2p.router.net.bw.inbound.15s i2p.router.net.bw.outbound.1s i2p.router.net.bw.outbound.15s "
    "i2p.router.net.status i2p.router.net.status.v6 i2p.router.net.error i2p.router.net.testing "
    "i2p.router.net.tunnels.participating i2p.router.net.tunnels.successrate i2p.router.net.total.received.bytes "
    "i2p.router.net.total.sent.bytes i2p.nothing"
).split()
_ASKED = (
    ("Echo", {"Echo": "there"}),
    ("RouterInfo", dict.fromkeys(_INFO)),
    ("NetworkSetting", {"i2p.router.net.bw.in": None, "i2p.router.net.bw.out": None}),
    ("ClientServicesInfo", dict.fromkeys(("I2PTunnel", "HTTPProxy", "SOCKS", "SAM", "BOB", "I2CP"))),
)


def run(net):
    said = {}
    for router, certificate in ((net.subject, net.subject.certificate), (net.partner, None)):
        given = i2pcontrol.ask(router.ip, "Authenticate", certificate, API=1, Password=PASSWORD)
        token = given.get("result", {}).get("Token")
        if not token or given.get("id") != 7:
            raise Failed(f"{router.kind} gives no token: {given}", router)
        said[router.kind] = {
            # i2pd puts a comma too many before what follows the token: it is asked without.
            method: _shape(i2pcontrol.ask(router.ip, method, certificate, **params, **({"Token": token} if certificate else {})))
            for method, params in _ASKED
        }
    ours, theirs = said["ramson"], said["i2pd"]
    wrong = [f"{method}: Ramson says {ours[method]}, i2pd {theirs[method]}" for method, _ in _ASKED if ours[method] != theirs[method]]
    for method, params, code in (
        ("RouterInfo", {"i2p.router.uptime": None}, -32002),
        ("RouterManager", {"Token": "1", "Shutdown": None}, -32003),
        ("Authenticate", {"API": 1, "Password": "wrong"}, -32001),
    ):
        answer = i2pcontrol.ask(net.subject.ip, method, **params)
        if answer.get("error", {}).get("code") != code:
            wrong.append(f"{method} without a token is answered {answer}")
    if wrong:
        raise Failed("; ".join(wrong), net.subject, net.partner)
    return f"{len(_ASKED)} methods as i2pd, {sum(map(len, ours.values()))} values; nothing without a token"


def _shape(answer):
    """What an answer has: keys, and what kind of value each is. How many sessions and tunnels there are is each one's own."""
    return {key: "number" if isinstance(value, (int, float)) else type(value).__name__ for key, value in answer["result"].items()}
