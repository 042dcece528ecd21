"""Through Ramson's HTTP proxy curl tunnels to a site of i2pd by CONNECT, and a web socket to it carries bytes both ways."""

import os
import socket

from ..applications import PROXY, Applications, curl, download
from ..outcome import Failed

NEEDS_RAMSON = True
NETWORK = Applications


def run(net):
    # i2pd's tunnels of kind "http" take `Upgrade` away, and say "close".
    site, ip = net.partner.name_of("plain"), net.subject.ip
    file = net.web.file(2_000_000)
    download(net, file, "--proxy", f"http://{ip}:{PROXY}", "--proxytunnel", f"http://{site}/{file.path}")
    _socket(net, ip, site)
    status, _, words = curl("--proxy", f"http://{ip}:{PROXY}", "--proxytunnel", "http://example.com/")
    if status != 56 or "503" not in words:
        raise Failed(f"a tunnel out of I2P: curl ended with {status}: {words}", net.subject)
    return "2 MB by CONNECT, 100 kB each way over a web socket, no tunnel out of I2P"


def _socket(net, ip, site):
    with socket.create_connection((ip, PROXY), timeout=60) as proxy:
        proxy.sendall(
            f"GET http://{site}/echo HTTP/1.1\r\nHost: {site}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            part = proxy.recv(4096)
            if not part:
                raise Failed(f"the web socket was not opened: {head!r}", net.subject, net.partner)
            head += part
        head, echo = head.split(b"\r\n\r\n", 1)
        if not head.startswith(b"HTTP/1.1 101") or b"websocket" not in head.lower():
            raise Failed(f"no web socket: {head!r}", net.subject)
        sent = os.urandom(100_000)
        proxy.sendall(sent)
        while len(echo) < len(sent) and (part := proxy.recv(65536)):
            echo += part
        if echo != sent:
            raise Failed(f"{len(echo)} bytes came back over the web socket, not what was sent", net.subject)
