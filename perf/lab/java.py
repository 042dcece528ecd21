"""Java I2P as a peer: its settings for a network without internet, a status page, and a client."""

import glob
import ipaddress
import os
import shutil
import subprocess
import sys

from .outcome import Failed, eventually
from .router import NETWORK_ID, Router

STATUS = 7657
I2CP = 7654
_SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "java")


def class_path(lab):
    """The jars, and our own classes, which are compiled the first time that they are needed."""
    jars = os.path.join(lab.peers, "java", "lib", "*")
    if not glob.glob(jars):
        sys.exit(f"no Java I2P in {lab.peers}: run perf/peers-fetch first")
    classes = os.path.join(lab.work, "classes")
    if not os.path.isdir(classes):
        sources = glob.glob(os.path.join(_SOURCES, "*.java"))
        done = subprocess.run(["javac", "-cp", jars, "-d", classes, *sources], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"javac: {done.stderr}")
    return f"{jars}:{classes}"


class JavaRouter(Router):
    """A Java router."""

    kind = "java"

    def __init__(self, net, n, floodfill=False, ntcp2=True, ssu2=True, kbps=20000):
        super().__init__(net, n, floodfill)
        self.ntcp2, self.ssu2, self.kbps = ntcp2, ssu2, kbps

    def _configuration(self):
        ipv6 = "false" if 4 in self.families else "only"
        # minThrottleTunnels: a growth limit made for large networks would refuse the tunnels of a small one.
        limits = (f"i2np.bandwidth.{way}{burst}KBytesPerSecond" for way in ("inbound", "outbound") for burst in ("", "Burst"))
        return {
            "i2np.allowLocal": "true",
            "router.networkID": NETWORK_ID,
            "i2np.ntcp.enable": str(self.ntcp2).lower(),
            "i2np.ntcp.hostname": self.address,
            "i2np.ntcp.ipv6": ipv6,
            "i2np.ntcp.port": self.port,
            "i2np.ntcp.autoip": "false",
            "i2np.ntcp.autoport": "false",
            "i2np.udp.enable": str(self.ssu2).lower(),
            "i2np.udp.host": self.address,
            "i2np.udp.ipv6": ipv6,
            "i2np.udp.port": self.port,
            "i2np.udp.internalPort": self.port,
            "i2np.udp.addressSources": "hidden",
            "i2np.ipv4.firewalled": "false",
            "i2np.upnp.enable": "false",
            "i2np.laptopMode": "false",
            **{limit: self.kbps for limit in limits},
            "router.sharePercentage": 90,
            "router.rejectStartupTime": 90000,
            "router.minThrottleTunnels": 5000,
            "router.floodfillParticipant": str(self.floodfill).lower(),
            "router.isHidden": "false",
            "router.blockMyCountry": "false",
            "router.blocklist.enable": "false",
            "router.reseedDisable": "true",
            "router.updateDisabled": "true",
            "time.disabled": "true",
            "i2cp.hostname": self.ip,
            "i2cp.port": I2CP,
            "router.inboundPool.length": 2,
            "router.inboundPool.lengthVariance": 0,
            "router.outboundPool.length": 2,
            "router.outboundPool.lengthVariance": 0,
        }

    def _write_configuration(self):
        """Writes router.config, and keeps the lines that are not ours: the router has its transport keys there, and with
        new ones it would look like an impostor of itself."""
        path, ours = os.path.join(self.dir, "router.config"), self._configuration()
        kept = []
        if os.path.exists(path):
            with open(path) as f:
                kept = [line for line in f.read().splitlines() if line.split("=")[0] not in ours]
        with open(path, "w") as f:
            f.write("\n".join([*(f"{k}={v}" for k, v in ours.items()), *kept]) + "\n")

    def command(self):
        self._write_configuration()
        for name, text in (
            ("clients.config", ""),
            ("logger.config", "logger.defaultLevel=WARN\nlogger.logFileName=log-@.txt\nlogger.logFileSize=200m\n"),
        ):
            with open(os.path.join(self.dir, name), "w") as f:
                f.write(text)
        temporary = os.path.join(self.dir, "tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        os.makedirs(temporary)
        ping = os.path.join(self.dir, "router.ping")
        if os.path.exists(ping):
            os.remove(ping)  # after a kill it would take itself for a second instance
        folders = [f"-Di2p.dir.{k}={self.dir}" for k in ("base", "config", "router", "pid", "log", "app")]
        return [
            *("java", "-Xmx512m", "-XX:+UseSerialGC", "-Djava.awt.headless=true"),
            *(["-Djava.net.preferIPv4Stack=true"] if 4 in self.families else []),
            *folders,
            f"-Di2p.dir.temp={temporary}",
            *("-cp", class_path(self.lab), "JavaPeer", self.ip, str(STATUS)),
        ]

    def log_files(self):
        return [*super().log_files(), *sorted(glob.glob(os.path.join(self.dir, "log-*.txt")), key=os.path.getmtime)]

    def status(self):
        """The lines of its status page, each a list of words."""
        return [line.split() for line in self.get(STATUS).splitlines() if line]

    def state(self):
        return [" ".join(words) for words in self.status()]

    def accept_transit(self):
        """Lifts its refusal of transit tunnels in the first minutes; true when it has answered."""
        return self.get(STATUS, "accept").startswith("rejectStartupTime 0")

    def sessions(self):
        """All its sessions, as (transport, "in" or "out" as seen from here, address of the peer)."""
        return [(words[0], words[2], str(ipaddress.ip_address(words[1]))) for words in self.status() if words[0] in ("NTCP2", "SSU2")]

    def bans(self):
        """Who is banned, as (router hash, why)."""
        return [(words[1], " ".join(words[2:])) for words in self.status() if words[0] == "banned"]

    def knows(self, other):
        """Whether its netDb has the RouterInfo of `other`."""
        return self.get(STATUS, f"knows?{other.hash()}").startswith("yes")

    def serve(self, name, web, *options):
        """Offers `web` by a client of this router, which ends with the case; returns its .b32.i2p name."""
        command = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-cp", class_path(self.lab), "JavaServer"]
        command += [self.ip, str(I2CP), os.path.join(self.dir, f"{name}.keys"), web.ip, str(web.port), *options]
        out = os.path.join(self.dir, f"{name}.log")
        with open(out, "wb") as log:
            subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=self.dir)
        printed = lambda: next((line for line in open(out).read().splitlines() if line.endswith(".b32.i2p")), None)
        eventually(120, printed, 0.5)
        return printed()

    def fetch(self, host, file, limit, *options):
        """Downloads a file by a client of this router with these options; returns the lines that it printed, the last of them
        `sha256 DIGEST SIZE MILLISECONDS` if all went well."""
        command = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-cp", class_path(self.lab), "JavaClient"]
        command += [self.ip, str(I2CP), f"http://{host}/{file.path}", str(limit), *options]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.dir, check=False, timeout=limit + 60)
        return (done.stdout + done.stderr).splitlines()

    def download(self, server, name, file, patience, *options):
        """Has a client of this router download a file from a tunnel of another, anew until it arrives within so many seconds; says how fast."""
        lines = []

        def done():
            lines[:] = self.fetch(server.name_of(name), file, 120, *options)
            return bool(lines) and lines[-1].startswith("sha256 ")

        if not eventually(patience, done, 2):
            raise Failed(f"to Java: {lines[-3:]}", server, self)
        _, digest, length, milliseconds = lines[-1].split()
        if (digest, int(length)) != (file.sha256, file.size):
            raise Failed(f"to Java: {length} bytes with another SHA-256", server, self)
        return f"to Java: {file.size // 1_000_000} MB at {file.size / int(milliseconds) / 1000:.2f} MB/s"
