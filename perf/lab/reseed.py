"""Hosts that offer bundles of RouterInfos, and routers that begin with nothing else."""

import os
import shutil
import socket
import subprocess
import time
import zipfile

from .host import Host
from .i2pd import I2pd
from .java import JavaRouter, class_path
from .outcome import Failed, eventually
from .ramson import Ramson
from .router import NETWORK_ID

_PORT = 8443


class ReseedHost(Host):
    """`ramson reseed serve` on a host of its own, with a signer of its own."""

    def __init__(self, net, n):
        super().__init__(n)
        self.lab, self.dir = net.lab, os.path.join(net.dir, f"{n}-reseed")
        os.makedirs(self.dir, exist_ok=True)
        self.keys, self.infos = os.path.join(self.dir, "keys"), os.path.join(self.dir, "infos")
        self.signer = f"lab{n}@mail.i2p"
        self.url = f"https://{self.ip}:{_PORT}/"
        self.process = None

    def __str__(self):
        return f"reseed host {self.n}"

    @property
    def certificate(self):
        """The file of its signer's certificate, whose name Java wants like this."""
        return os.path.join(self.keys, f"lab{self.n}_at_mail.i2p.crt")

    def offer(self, routers):
        """Begins to offer the RouterInfos of these."""
        os.makedirs(self.infos, exist_ok=True)
        for router in routers:
            shutil.copy(router.info_path(), os.path.join(self.infos, f"routerInfo-{router.hash()}.dat"))
        command = [self.lab.ramson, "reseed", "serve", "--network", NETWORK_ID, "--private", "--signer", self.signer]
        command += ["--keys", self.keys, "--listen", f"{self.ip}:{_PORT}", "--name", self.ip, self.infos]
        with open(os.path.join(self.dir, "out.log"), "ab") as out:
            self.process = self.spawn(list(map(str, command)), cwd=self.dir, stdout=out, stderr=subprocess.STDOUT)
        # Keys of 4096 bits take their time.
        if not eventually(120, self._listens, 0.5):
            with open(os.path.join(self.dir, "out.log"), errors="replace") as out:
                raise Failed(f"{self} does not listen: {out.read().strip()}")

    def _listens(self):
        with socket.create_connection((self.ip, _PORT), timeout=2):
            return True

    def kill(self):
        """Ends it."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


class SeededI2pd(I2pd):
    """An i2pd that asks reseed hosts and verifies what they send."""

    hosts = ()

    def _configuration(self):
        urls = ",".join(host.url for host in self.hosts)
        return super()._configuration().replace(
            "threshold = 0\nurls =\n", f"threshold = {25 if self.hosts else 0}\nverify = true\nurls = {urls}\n"
        )

    def seed_from(self, hosts):
        """From its next start on it asks these."""
        self.hosts = hosts
        _copy_certificates(hosts, os.path.join(self.dir, "certificates", "reseed"))


class SeededJava(JavaRouter):
    """A Java router that asks reseed hosts and verifies what they send."""

    hosts = ()

    def _configuration(self):
        configuration = super()._configuration()
        if self.hosts:
            configuration["router.reseedDisable"] = "false"
            configuration["i2p.reseedURL"] = ",".join(host.url for host in self.hosts)
        return configuration

    def seed_from(self, hosts):
        """From its next start on it asks these."""
        self.hosts = hosts
        _copy_certificates(hosts, os.path.join(self.dir, "certificates", "reseed"))
        ssl = os.path.join(self.dir, "certificates", "ssl")
        os.makedirs(ssl, exist_ok=True)
        for host in hosts:
            shutil.copy(os.path.join(host.keys, "https.crt"), os.path.join(ssl, f"{host.ip}.crt"))


class SeededRamson(Ramson):
    """A Ramson that asks reseed hosts, and nobody else."""

    hosts = ()

    def _configuration(self):
        text = super()._configuration()
        if not self.hosts:
            return text
        names = lambda values: ", ".join(f'"{value}"' for value in values)
        lines = f"reseed = [{names(host.url for host in self.hosts)}]\n"
        lines += f"reseed_certificates = [{names(host.keys for host in self.hosts)}]\n"
        return text.replace(f'bootstrap = ["{self.dir}/bootstrap"]\n', lines)

    def seed_from(self, hosts):
        """From its next start on it asks these."""
        self.hosts = hosts

    def forget(self):
        """Takes its database away."""
        for name in os.listdir(os.path.join(self.dir, "data")):
            if name.startswith(("netdb", "profiles")):
                os.remove(os.path.join(self.dir, "data", name))

    def take(self, bundle, certificate):
        """Has its database, while it does not run, take a bundle by hand; returns what the command says."""
        config = os.path.join(self.dir, "by-hand.toml")
        with open(config, "w") as f:
            f.write(f'[network]\nid = {NETWORK_ID}\nreseed_certificates = ["{certificate}"]\n')
        command = [self.lab.ramson, "reseed", bundle, "--config", config, "--data", os.path.join(self.dir, "data")]
        done = subprocess.run(command, text=True, capture_output=True, check=False, timeout=30)
        return done.stdout + done.stderr

    def make(self, bundle, host, *routers):
        """Packs and signs a bundle of these with the keys of `host`."""
        command = [self.lab.ramson, "reseed", "make", "--network", str(NETWORK_ID), "--private", "--signer", host.signer]
        command += ["--keys", host.keys, "--out", bundle, *(router.info_path() for router in routers)]
        subprocess.run(command, capture_output=True, check=True, timeout=60)

    def fetches(self):
        """What came of asking hosts, by outcome."""
        return self.metrics().by("ramson_reseed_fetches_total", "outcome")


def bundle_by_java(lab, folder, routers):
    """A bundle of these that Java I2P's own tool has packed and signed; returns its file and its signer's certificate."""
    os.makedirs(folder, exist_ok=True)
    archive, keys, certificate, bundle = (os.path.join(folder, n) for n in ("in.zip", "java.ks", "java.crt", "java.su3"))
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as f:
        for router in routers:
            f.writestr(f"routerInfo-{router.hash()}.dat", router.router_info())
    tool = ["java", "-cp", class_path(lab), "net.i2p.crypto.SU3File"]
    signer, secret = "java@mail.i2p", "changeit\n"
    for arguments in (
        ["keygen", "-t", "6", certificate, keys, signer],
        ["sign", "-t", "6", "-c", "RESEED", "-f", "ZIP", archive, bundle, keys, str(int(time.time())), signer],
    ):
        subprocess.run([*tool, *arguments], input=2 * secret, text=True, capture_output=True, check=True, timeout=120)
    return bundle, certificate


def verified_by_java(lab, bundle, certificate):
    """What Java I2P's own tool says of a bundle of ours."""
    command = ["java", "-cp", class_path(lab), "net.i2p.crypto.SU3File", "verifysig", "-k", certificate, bundle]
    return subprocess.run(command, text=True, capture_output=True, check=False, timeout=60).stdout


def _copy_certificates(hosts, folder):
    os.makedirs(folder, exist_ok=True)
    for host in hosts:
        shutil.copy(host.certificate, folder)
