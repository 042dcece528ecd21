"""Chromium reads a page behind i2pd through Ramson's proxy, with picture, cookie, post and web socket; the proxy's own pages are seen at the width of a desk and of a phone."""

import os
import shutil
import subprocess
import tempfile

from ..applications import PROXY, download
from ..outcome import Failed, Skipped, eventually
from .tunnel_options import NETWORK  # noqa: F401

NEEDS_RAMSON = True
_SIZES = ((1280, 800), (500, 900))  # a window is no narrower
_PATIENCE = 60  # seconds for the browser, where there are few processors


def run(net):
    chromium = shutil.which("chromium")
    if not chromium:
        raise Skipped("no chromium: apt-get install --no-install-recommends chromium")
    site, file = net.partner.name_of("page"), net.web.file(1_000)
    proxy = f"http://{net.subject.ip}:{PROXY}"
    download(net, file, "--proxy", proxy, f"http://{net.partner.name_of('plain')}/{file.path}")
    with tempfile.TemporaryDirectory(prefix="ramson-chromium-") as home:
        browser = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={home}", f"--proxy-server={proxy}"]
        _read(net, [*browser, "--remote-debugging-port=0", f"http://{site}/"], home)
        helper = f"http://new.i2p/?i2paddresshelper={site}"
        seen = [_see(net, browser, name, url, size) for name, url in (("unknown", "http://nobody.i2p/"), ("helper", helper)) for size in _SIZES]
    return f"a page with picture, cookie, post and web socket; pictures of the proxy's pages of {seen} bytes"


def _read(net, command, home):
    """The script of the page posts what it has heard over the web socket."""
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
