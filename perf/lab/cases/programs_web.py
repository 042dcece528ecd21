"""nginx is read by curl, and git clones, through the proxies, each way between Ramson and i2pd: ranges, cookies, uploads, a large file broken off and resumed, many at once."""

import hashlib
import os
import subprocess
import time

from ..applications import curl
from ..offices import PROXY, SOCKS, Offices
from ..outcome import Failed, Skipped, eventually

NEEDS_RAMSON = True
NETWORK = Offices
_PATIENCE = 180  # seconds for the first tunnels and LeaseSets
_LARGE, _QUICK_LARGE = 500_000_000, 100_000_000
_MANY, _QUICK_MANY = 200, 200
_SMALL = 50_000


def run(net):
    nginx = net.programs.nginx
    if not nginx.path:
        raise Skipped(f"no nginx: apt-get install --no-install-recommends {nginx.package}")
    size = _QUICK_LARGE if net.lab.quick else _LARGE
    count = _QUICK_MANY if net.lab.quick else _MANY
    digests = {"large": nginx.put("large", size), "small": nginx.put("small", _SMALL), "commit": nginx.repository("code")}
    facts = []
    for way, router, office in net.ways():
        fetch = _Fetch(net, router, f"http://{office}")
        for check in (_pages, _upload, _clone):
            if problem := check(fetch, digests):
                raise Failed(f"{check.__name__[1:]} {way}: {problem}", router, net.subject, net.partner)
        facts.append(f"{way} {_large(fetch, digests, size, way)} MB/s, {_many(fetch, digests, count, way)} at once")
    return f"pages, ranges, cookies, uploads, clones, {size // 1_000_000} MB resumed; {'; '.join(facts)}"


class _Fetch:
    """curl through a router's HTTP proxy."""

    def __init__(self, net, router, site):
        self.net, self.router, self.site = net, router, site
        self.proxy = f"http://{router.ip}:{PROXY}"
        self.folder = os.path.join(net.dir, f"fetched-{router.n}")
        os.makedirs(self.folder, exist_ok=True)

    def __call__(self, page, *options, limit=120):
        return curl("--proxy", self.proxy, *options, f"{self.site}/{page}", limit=limit)

    def failed(self, what):
        """What to raise."""
        return Failed(what, self.router, self.net.subject, self.net.partner)


def _digest(data):
    return hashlib.sha256(data).hexdigest()


def _pages(fetch, digests):
    if not eventually(_PATIENCE, lambda: _digest(fetch("small")[1]) == digests["small"], 2):
        return f"no first page: {fetch('small')[1:]!r:.600}"
    parts = [fetch("small", "--range", some)[1] for some in (f"0-{_SMALL // 2 - 1}", f"{_SMALL // 2}-")]
    if _digest(b"".join(parts)) != digests["small"]:
        return f"ranges of {list(map(len, parts))} bytes"
    jar = os.path.join(fetch.folder, "jar")
    fetch("cookie", "--cookie-jar", jar)
    cookie = fetch("visit", "--cookie", jar)[1]
    if cookie != b"visit=lab":
        return f"the cookie was {cookie!r}"
    code = fetch("nothing", "--output", "/dev/null", "--write-out", "%{http_code}")[1]
    return None if code == b"404" else f"a page that is not there: {code}"


def _upload(fetch, _):
    """A form, and three million bytes."""
    path, data = os.path.join(fetch.folder, "upload"), os.urandom(3_000_000)
    with open(path, "wb") as f:
        f.write(data)
    for options, sent in ((("--data", "a=b"), b"a=b"), (("--data-binary", f"@{path}"), data)):
        status, head, words = fetch("post", "--include", "--header", "Expect:", *options)
        kept = next((line.split()[1] for line in head.decode().splitlines() if line.lower().startswith("x-kept")), None)
        if status or not kept:
            return f"{words} {head!r}"
        with open(kept, "rb") as f:
            if f.read() != sent:
                return f"nginx kept other bytes than the {len(sent)} sent"
    return None


def _clone(fetch, digests):
    for name, proxy in (("http", fetch.proxy), ("socks", f"socks5h://{fetch.router.ip}:{SOCKS}")):
        to = os.path.join(fetch.folder, name)
        command = ["git", "-c", f"http.proxy={proxy}", "clone", "-q", f"{fetch.site}/code.git", to]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)
        head = subprocess.run(["git", "-C", to, "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout
        if head.strip() != digests["commit"]:
            return f"by {name}: {done.stderr}{head}"
    return None


def _large(fetch, digests, size, way):
    """Broken off twice, and resumed until it is there; returns MB/s."""
    path, begin = os.path.join(fetch.folder, "large"), time.monotonic()
    there = lambda: os.path.getsize(path) if os.path.exists(path) else 0
    resume = ("--continue-at", "-", "--output", path)
    for third in (1, 2):
        command = ["curl", "-sS", "--proxy", fetch.proxy, *resume, f"{fetch.site}/large"]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as going_on:
            eventually(300, lambda third=third, one=going_on: there() > size * third // 3 or one.poll() is not None, 0.1)
            going_on.kill()
    status, _, words = fetch("large", *resume, limit=900)
    seconds = time.monotonic() - begin
    if status:
        raise fetch.failed(f"a large file {way}: {there()} of {size} bytes: {words}")
    with open(path, "rb") as f:
        digest = hashlib.file_digest(f, "sha256").hexdigest()
    os.remove(path)
    if digest != digests["large"]:
        raise fetch.failed(f"a large file {way} has another SHA-256")
    return f"{size / seconds / 1e6:.2f}"


def _many(fetch, digests, count, way):
    folder = os.path.join(fetch.folder, "many")
    os.makedirs(folder)
    options = ("--parallel", "--parallel-immediate", "--parallel-max", str(count), "--fail", "--output", f"{folder}/#1")
    words = fetch(f"small?[1-{count}]", *options, limit=240)[2]
    digest = lambda name: _digest(open(os.path.join(folder, name), "rb").read())
    whole = sum(1 for name in os.listdir(folder) if digest(name) == digests["small"])
    if whole < count:
        raise fetch.failed(f"{whole} of {count} at once {way}: {words[:500]}")
    return count
