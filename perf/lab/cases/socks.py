"""curl reaches a site of i2pd through Ramson's SOCKS proxy by 5 and 4a, and is refused in the protocol's words what is not in I2P."""

from ..applications import SOCKS, Applications, curl, download
from ..outcome import Failed

NEEDS_RAMSON = True
NETWORK = Applications
_REFUSED = (  # what curl asks for, and the reply that it tells: RFC 1928 (6)
    ("http://nobody.i2p/", "(4)"),
    ("http://example.com/", "(2)"),
    ("http://192.0.2.1/", "(8)"),
)


def run(net):
    site, proxy = net.partner.name_of("site"), f"{net.subject.ip}:{SOCKS}"
    small, large = net.web.file(1_000), net.web.file(2_000_000)
    for way in ("--socks5-hostname", "--socks4a"):
        download(net, small, way, proxy, f"http://{site}/{small.path}")
        download(net, large, way, proxy, f"http://{site}/{large.path}", patience=60)
    for url, reply in _REFUSED:
        status, _, words = curl("--socks5-hostname", proxy, url)
        if status != 97 or reply not in words:
            raise Failed(f"{url}: curl ended with {status}: {words}", net.subject)
    return f"1 kB and 2 MB by SOCKS 5 and 4a; {len(_REFUSED)} refusals as they should be"
