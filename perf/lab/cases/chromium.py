"""Chromium reads a page behind i2pd through Ramson's proxy, and one behind Ramson through i2pd's, with picture, cookie, post and web socket; the proxy's own pages are seen at the width of a desk and of a phone."""

import json
import os
import shutil
import subprocess
import tempfile
import urllib.request

from ..applications import PARTNER_PROXY, PROXY, curl, download
from ..outcome import Failed, Skipped, eventually
from .tunnel_options import NETWORK  # noqa: F401

NEEDS_RAMSON = True
_SIZES = ((1280, 800), (500, 900))  # a window is no narrower
_PATIENCE = 60  # seconds for the browser, where there are few processors


def run(net):
    chromium = shutil.which("chromium")
    if not chromium:
        raise Skipped("no chromium: apt-get install --no-install-recommends chromium")
    _visit(net, chromium, (net.partner.ip, PARTNER_PROXY), net.subject)
    pictures = _visit(net, chromium, (net.subject.ip, PROXY), net.partner)
    return f"a page with picture, cookie, post and web socket, each way; pictures of the proxy's pages of {pictures} bytes"


def _visit(net, chromium, proxy, server):
    """Reads the page behind a router by a proxy; bytes of pictures of the pages of Ramson's proxy."""
    site, file, proxy = server.name_of("page"), net.web.file(1_000), "http://{}:{}".format(*proxy)
    download(net, file, "--proxy", proxy, f"http://{server.name_of('plain' if server is net.partner else 'site')}/{file.path}")
    eventually(_PATIENCE, lambda: b"<h1>lab" in curl("--proxy", proxy, f"http://{site}/")[1], 1)
    with tempfile.TemporaryDirectory(prefix="ramson-chromium-", ignore_cleanup_errors=True) as home:
        browser = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={home}", f"--proxy-server={proxy}"]
        _read(net, [*browser, "--remote-debugging-port=0", f"http://{site}/"], home)
        if server is net.subject:
            return []
        _wait(net, browser, home)
        pages = [("unknown", "http://nobody.i2p/"), ("helper", f"http://new.i2p/?i2paddresshelper={site}"), ("outside", "http://example.com/"), ("home", "http://proxy.i2p/")]
        return [_see(net, browser, name, url, size) for name, url in pages for size in _SIZES]


def _read(net, command, home):
    """The script of the page posts what it has heard over the web socket."""
    net.page.heard.clear()
    with open(os.path.join(net.dir, "chromium.log"), "wb") as log:
        browser = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | {"HOME": home})
    try:
        heard = net.page.heard
        eventually(_PATIENCE, lambda: "posted" in heard and "/picture" in heard, 0.2)
    finally:
        browser.kill()
        browser.wait()
    if heard.get("posted") != "heard from the page" or heard.get("cookie") != "visit=lab" or "/picture" not in heard:
        raise Failed(f"the browser did {heard}", net.subject, net.partner)
    # Who is behind a proxy of I2P is not to be known by his browser.
    if "hrom" in heard["agent"]:
        raise Failed(f"the site knows the browser: {heard['agent']}", net.subject)


def _wait(net, command, home):
    """A site that nobody has: the browser is shown how far the search is, and then by itself what came of it."""
    port, titles = os.path.join(home, "DevToolsActivePort"), []
    if os.path.exists(port):
        os.remove(port)
    with open(os.path.join(net.dir, "chromium.log"), "wb") as log:
        browser = subprocess.Popen(
            [*command, "--remote-debugging-port=0", f"http://{'a' * 52}.b32.i2p/"], stdout=log, stderr=log, env=os.environ | {"HOME": home}
        )

    def arrived():
        try:
            at = open(port, encoding="ascii").readline().strip()
            with urllib.request.urlopen(f"http://127.0.0.1:{at}/json/list", timeout=5) as reply:
                titles.extend(page["title"] for page in json.load(reply) if page["type"] == "page")
        except (OSError, ValueError):
            return False
        return "Site not found" in titles

    try:
        if not eventually(_PATIENCE, arrived, 0.2) or "On the way" not in titles:
            raise Failed(f"the browser showed {sorted(set(titles))}", net.subject)
    finally:
        browser.kill()
        browser.wait()


def _see(net, browser, name, url, size):
    """Bytes of a picture of a page."""
    path = os.path.join(net.dir, f"{name}-{size[0]}.png")
    done = subprocess.run(
        [*browser, f"--window-size={size[0]},{size[1]}", f"--screenshot={path}", url], capture_output=True, timeout=_PATIENCE, check=False
    )
    picture = open(path, "rb").read() if os.path.exists(path) else b""
    at = int.from_bytes(picture[16:20], "big"), int.from_bytes(picture[20:24], "big")
    # An empty page of that size is a few thousand bytes.
    if at != size or len(picture) < 8_000:
        raise Failed(f"{name}: {len(picture)} bytes, {at}: {done.stderr[-500:]!r}", net.subject)
    return len(picture)
