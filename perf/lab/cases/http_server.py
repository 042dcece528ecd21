"""A web server behind Ramson is told by headers that nobody can forge who visits through i2pd's proxy, and its own name as `Host`."""

from ..applications import HOST, PARTNER_PROXY, Applications, curl, download
from ..outcome import Failed

NEEDS_RAMSON = True
NETWORK = Applications
_POST = ("--request", "POST", "--data", "x", "--output", "/dev/null", "--write-out", "%{http_code}")


def run(net):
    site, visitor = net.subject.name_of("site"), net.partner.name_of("proxy")
    proxy = ("--proxy", f"http://{net.partner.ip}:{PARTNER_PROXY}")
    file = net.web.file(2_000_000)
    download(net, file, *proxy, f"http://{site}/{file.path}")
    forged = ("--header", "X-I2P-DestB32: forged", "--header", "X-I2P-DestHash: forged")
    status, heard, words = curl(*proxy, *forged, f"http://{site}/headers")
    heard = heard.decode().lower()
    if status or f"x-i2p-destb32: {visitor}" not in heard or f"host: {HOST}" not in heard or "forged" in heard:
        raise Failed(f"the web server heard ({status}, {words}): {heard}", net.subject)
    _, head, _ = curl(*proxy, "--head", f"http://{site}/headers")
    if b"python" in head.lower():
        raise Failed(f"the answer names the server: {head!r}", net.subject)
    codes = [curl(*proxy, *_POST, f"http://{site}/")[1].decode() for _ in range(4)]
    # The laboratory's server knows no POST.
    if codes != ["501", "501", "501", "429"]:
        raise Failed(f"four times POST, of which three are let through a minute: {codes}", net.subject)
    return "2 MB, the visitor's name as he cannot write it, Host as configured, the fourth POST of a minute refused"
