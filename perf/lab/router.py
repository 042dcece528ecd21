"""The life of a router, of any kind: its folder, its process, its RouterInfo, what others are told of it."""

import base64
import hashlib
import os
import re
import shutil
import signal
import subprocess
import urllib.request
import zlib

from . import process
from .host import Host

NETWORK_ID = 99
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_I2P_ALPHABET = str.maketrans("+/", "-~")


class Router(Host):
    """A router on host `n`, with its transports on port 20000 + n. A kind of router overrides what differs."""

    kind = "router"
    info_name = "router.info"
    page = None  # the port of its own page
    chatter = None  # lines of the log that tell nothing
    environment = {}  # beside that of the laboratory

    def __init__(self, net, n, floodfill=False):
        super().__init__(n)
        self.lab, self.floodfill = net.lab, floodfill
        self.port = 20000 + n
        self.dir = os.path.join(net.dir, f"{n}-{self.kind}")
        os.makedirs(self.dir, exist_ok=True)
        self.process = None

    def __str__(self):
        return f"{self.kind} {self.n}"

    # To be said by each kind.

    def command(self):
        """Writes the configuration, and returns the command that starts the router with it."""
        raise NotImplementedError

    def log_files(self):
        """Where it writes, the most telling file last."""
        return [os.path.join(self.dir, "out.log")]

    def learn(self, other):
        """Puts the RouterInfo of another router where this one reads such at start."""
        name = other.hash()
        folder = os.path.join(self.dir, "netDb", f"r{name[0]}")
        os.makedirs(folder, exist_ok=True)
        shutil.copy(other.info_path(), os.path.join(folder, f"routerInfo-{name}.dat"))

    # The same for all.

    def hide(self, symmetric=False, forwards=None):
        """Puts it behind a NAT, through which its page can still be read."""
        self.put_behind_nat(self.page, symmetric, forwards)

    def start(self):
        """Starts it; its standard output goes to `out.log`."""
        with open(os.path.join(self.dir, "out.log"), "ab") as out:
            environment = os.environ | self.environment
            self.process = self.spawn(self.command(), cwd=self.dir, stdout=out, stderr=subprocess.STDOUT, env=environment)

    def alive(self):
        """Whether its process runs."""
        return self.process is not None and self.process.poll() is None

    def died(self):
        """Whether it has ended without being told to."""
        return self.process is not None and self.process.poll() is not None

    def kill(self):
        """Ends it as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def drain(self, limit=30):
        """Asks it to end, and returns its exit status, or None if it had to be killed after `limit` seconds."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(limit)
        except subprocess.TimeoutExpired:
            return None
        finally:
            self.kill()

    def info_path(self):
        """Its own RouterInfo."""
        return os.path.join(self.dir, self.info_name)

    def published(self):
        """Whether its RouterInfo is on disk and names its address: some routers write one before they listen. Behind a NAT
        it has none to name."""
        try:
            info = self.router_info()
            return self.nat is not None or self.address.encode() in info
        except FileNotFoundError:
            return False

    def router_info(self):
        """Its RouterInfo as it published it last."""
        with open(self.info_path(), "rb") as f:
            return f.read()

    def has_introducers(self):
        """Whether it publishes introducers."""
        return b"itag0" in self.router_info()

    def hash(self):
        """Its router hash in I2P's base 64."""
        return base64.b64encode(_identity_hash(self.router_info())).decode().translate(_I2P_ALPHABET)

    def usage(self):
        """Processor time, memory, descriptors and threads by now."""
        return process.usage(self.process.pid)

    def get(self, port, path=""):
        """The text of one of its pages."""
        with urllib.request.urlopen(f"http://{self.ip}:{port}/{path}", timeout=5) as page:
            return page.read().decode("utf-8", "replace")

    def state(self):
        """Lines about what it does now, for a report of what went wrong."""
        return []

    def log_lines(self):
        """All that it has logged, without its `chatter`."""
        for path in self.log_files():
            if os.path.exists(path):
                with open(path, errors="replace") as f:
                    lines = (_COLOUR.sub("", line.rstrip("\n")) for line in f)
                    yield from (line for line in lines if not (self.chatter and self.chatter.search(line)))


def peers_folder():
    """Where `peers-fetch` has put the other routers."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.environ.get("RAMSON_PEERS") or os.path.join(cache, "ramson-peers")


def _identity_hash(data):
    """SHA-256 of the KeysAndCert at the beginning: 384 bytes of keys, then a certificate of type, length, payload."""
    return hashlib.sha256(data[: 387 + int.from_bytes(data[385:387], "big")]).digest()


def destination_name(key_file):
    """The .b32.i2p name of the destination whose keys are in this file (they begin with the destination itself)."""
    with open(key_file, "rb") as f:
        digest = _identity_hash(f.read())
    return base64.b32encode(digest).decode().rstrip("=").lower() + ".b32.i2p"


def blinded_name(key_file):
    """The long .b32.i2p name of the same destination, by which it is found if its LeaseSet is encrypted."""
    with open(key_file, "rb") as f:
        data = f.read()
    key, kind = data[352:384], data[388]  # Ed25519 or RedDSA, at the end of its field
    head = bytes(a ^ b for a, b in zip(bytes((0, kind, 11)), zlib.crc32(key).to_bytes(4, "little")))
    return base64.b32encode(head + key).decode().rstrip("=").lower() + ".b32.i2p"


def destination(key_file):
    """The same destination in I2P's base 64."""
    with open(key_file, "rb") as f:
        data = f.read()
    return base64.b64encode(data[: 387 + int.from_bytes(data[385:387], "big")]).decode().translate(_I2P_ALPHABET)
