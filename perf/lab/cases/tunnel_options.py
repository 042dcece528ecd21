"""Options of Ramson's tunnels with i2pd and real programs: hops that are named, TLS to a server, text compressed on the way, tunnels built at first use, streamr, squid as an outproxy for HTTP and SOCKS."""

import os
import socket
import ssl
import subprocess
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ..applications import PARTNER_PROXY, PROXY, Applications, curl, download
from ..outcome import Failed, Skipped, eventually
from ..page import Page
from ..sandbox import GATE
from ..squid import OUTSIDE, Squid

NEEDS_RAMSON = True
_RAW, _LATE, _STREAM, _HEARD, _SOCKS, _PARTNER_OUTSIDE, _NAMED, _TLS = 4620, 4621, 4622, 4623, 4624, 4625, 4626, 8443
_PATIENCE = 120  # seconds for the tunnels of new destinations
_TEXT = b"the same words again and again\n" * 2000
_READS = "X-Accept-Encoding: x-i2p-gzip;q=1.0, identity;q=0.5, deflate;q=0, gzip;q=0, *;q=0"  # as Java's client says


class NETWORK(Applications):
    """The network of applications, with squid and a page for browsers behind i2pd and behind Ramson, and a server that speaks TLS behind Ramson."""

    name = "options"

    def __init__(self, lab):
        super().__init__(lab)
        self.squid, self.tls = Squid(os.path.join(self.dir, "squid")), _TlsWeb(os.path.join(self.dir, "tls"))
        self.partner.serve("squid", self.squid, kind="server")
        self.page = Page()
        self.partner.serve("page", self.page, kind="server")
        self.subject.serve("page", self.page, kind="http-server")
        self.subject.serve("squid", self.squid)
        self.subject.serve("tls", self.tls, tls=True)
        self._streamr("camera", "server", f'listen = "{self.subject.ip}:{_STREAM}"')
        with open(os.path.join(self.folder, "text.txt"), "wb") as f:
            f.write(_TEXT)

    def _streamr(self, name, end, options):
        self.subject.tunnels.append(f'[[tunnel]]\nname = "{name}"\ntype = "streamr-{end}"\n{options}\ninbound_length = 2\noutbound_length = 2\n')

    def configure(self):
        super().configure()
        outproxy, plain = self.partner.name_of("squid"), self.partner.name_of("plain")
        self.subject.outproxies = [outproxy]
        self.subject.reach("outside", _SOCKS, "", kind="socks", outproxies=[outproxy])
        self.subject.reach("late", _LATE, plain, delay_open=True, keys="transient-late")
        self.named = self.hops[-3:-1]
        hops = [hop.hash() for hop in self.named]
        self.subject.reach("named", _NAMED, plain, quantity=1, explicit_peers=hops)
        options = {"kind": "httpproxy", "outproxy": f"http://{self.subject.name_of('squid')}"}
        self.partner.reach("outside", _PARTNER_OUTSIDE, "", **options)
        self.partner.reach("raw", _RAW, self.subject.name_of("folder"))
        self._streamr("monitor", "client", f'target = "{GATE}:{_HEARD}"\ndestination = "{self.subject.name_of("camera")}"')

    def stop(self):
        super().stop()
        self.squid.stop()
        self.tls.stop()
        self.page.stop()


class _TlsWeb:
    """A web server that speaks TLS alone, with a certificate that nobody knows."""

    def __init__(self, folder):
        self.ip, self.port = GATE, _TLS
        os.makedirs(folder)
        key, certificate = os.path.join(folder, "key"), os.path.join(folder, "certificate")
        make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=lab".split()
        subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", str(len(_TEXT)))
                self.end_headers()
                self.wfile.write(_TEXT)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer((self.ip, self.port), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        """Takes no more calls."""
        self._server.shutdown()
        self._server.server_close()


def run(net):
    if not net.squid.path:
        raise Skipped(f"no squid: apt-get install --no-install-recommends {net.squid.package}")
    return ", ".join(check(net) for check in (_delayed, _named, _tls, _compressed, _outside, _streamr))


def _delayed(net):
    """Its destination has no tunnels before somebody comes."""
    ramson, file = net.subject, net.web.file(1_000)
    tunnels = lambda: ramson.metrics().total("ramson_own_tunnels", pool="client")
    eventually(60, lambda: tunnels() and _is_steady(tunnels), 0)
    before = tunnels()
    download(net, file, f"http://{ramson.ip}:{_LATE}/{file.path}", patience=_PATIENCE)
    if tunnels() < before + 2:
        raise Failed(f"{before} tunnels before the first use of one with delay_open, {tunnels()} after it", ramson)
    return "tunnels at first use"


def _named(net):
    """What comes passes through the hops that are named, and is as much as was asked for at each of them."""
    file = net.web.file(5_000_000)
    before = [hop.sent() for hop in net.named]
    download(net, file, f"http://{net.subject.ip}:{_NAMED}/{file.path}", patience=_PATIENCE)
    passed = [hop.sent() - bytes for hop, bytes in zip(net.named, before)]
    if min(passed) < file.size:
        raise Failed(f"{file.size} bytes came, and through the hops that were named only {passed}", net.subject)
    return "hops as named"


def _is_steady(value):
    before = value()
    time.sleep(3)
    return value() == before


def _tls(net):
    page = ("--proxy", f"http://{net.partner.ip}:{PARTNER_PROXY}", f"http://{net.subject.name_of('tls')}/")
    if not eventually(_PATIENCE, lambda: curl(*page)[1] == _TEXT, 1):
        raise Failed(f"a server that speaks TLS: {curl(*page)[1:]!r:.500}", net.subject, net.partner)
    return "a page of a server with TLS"


def _compressed(net):
    raw, head = f"http://{net.partner.ip}:{_RAW}/text.txt", os.path.join(net.dir, "head")
    if not eventually(_PATIENCE, lambda: curl(raw)[1] == _TEXT, 1):
        raise Failed("a text does not come as it is", net.subject, net.partner)
    body = curl("--header", _READS, "--dump-header", head, raw)[1]
    with open(head, encoding="ascii") as f:
        coded = "content-encoding: x-i2p-gzip" in f.read().lower()
    if not coded or len(body) > len(_TEXT) // 10 or zlib.decompress(body, 31) != _TEXT:
        raise Failed(f"{len(body)} bytes instead of a compressed text: {body[:100]!r}", net.subject, net.partner)
    return f"{len(_TEXT)} bytes of text in {len(body)}"


def _outside(net):
    """By squid, which alone knows the name."""
    file, ramson = net.web.file(100_000), net.subject
    url = f"http://{OUTSIDE}:{net.web.port}/{file.path}"
    for way in (("--proxy", f"http://{ramson.ip}:{PROXY}"), ("--socks5-hostname", f"{ramson.ip}:{_SOCKS}")):
        download(net, file, *way, url, patience=_PATIENCE)
    # What is tunnelled through the proxy squid tunnels on.
    download(net, file, "--proxy", f"http://{ramson.ip}:{PROXY}", "--proxytunnel", url, patience=30)
    download(net, file, "--proxy", f"http://{net.partner.ip}:{_PARTNER_OUTSIDE}", url, patience=_PATIENCE)
    return "100 kB by squid for HTTP, CONNECT and SOCKS, and by i2pd's proxy with squid behind Ramson"


def _streamr(net):
    """One program sends, and whoever listens hears it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as monitor:
        monitor.bind((GATE, _HEARD))
        monitor.settimeout(0.5)
        for n in range(2 * _PATIENCE):
            monitor.sendto(f"picture {n}".encode(), (net.subject.ip, _STREAM))
            try:
                heard = monitor.recv(2000)
            except TimeoutError:
                continue
            if heard.startswith(b"picture "):
                return "streamr"
    raise Failed("no picture comes by streamr", net.subject)
