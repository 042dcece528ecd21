"""ngIRCd behind the tunnels, if it is installed."""

import os
import shutil
import subprocess

from .sandbox import GATE

_CONFIGURATION = """
[Global]
Name = irc.lab.example
Info = laboratory
Listen = {ip}
Ports = {port}
ServerUID = {uid}
ServerGID = {gid}
MotdPhrase = welcome
[Options]
DNS = yes
Ident = no
PAM = no
WebircPassword = {password}
"""


class Ngircd:
    """A server of IRC in this script's own namespace, where every router can reach it."""

    password = "gateway-secret"

    def __init__(self, folder, port=6667):
        self.ip, self.port, self._process = GATE, port, None
        self.program = shutil.which("ngircd", path="/usr/sbin:/usr/bin")
        if self.program:
            os.makedirs(folder, exist_ok=True)
            path = os.path.join(folder, "ngircd.conf")
            # It takes another group if it runs as root and is not told which.
            numbers = {"uid": os.getuid(), "gid": os.getgid()}
            with open(path, "w") as f:
                f.write(_CONFIGURATION.format(ip=self.ip, port=port, password=self.password, **numbers))
            with open(os.path.join(folder, "ngircd.log"), "wb") as log:
                self._process = subprocess.Popen([self.program, "-n", "-f", path], stdout=log, stderr=log)

    def stop(self):
        """Ends it."""
        if self._process:
            self._process.kill()
            self._process.wait()
