"""Squid as an outproxy, if it is installed."""

import os
import shutil
import subprocess

from .process import end
from .sandbox import GATE

OUTSIDE = "outside.example"  # the one name that it knows, for the laboratory's own address

_CONFIGURATION = """
http_port {ip}:{port}
http_access allow all
cache deny all
access_log stdio:{folder}/access.log
cache_log /dev/null
netdb_filename none
pid_filename none
coredump_dir {folder}
hosts_file {folder}/hosts
visible_hostname squid.lab.example
pinger_enable off
max_filedescriptors 1024
shutdown_lifetime 0 seconds
via off
forwarded_for delete
"""


class Squid:
    """A proxy in this script's own namespace, where every router can reach it."""

    package = "squid"

    def __init__(self, folder, port=3128):
        self.ip, self.port, self._process = GATE, port, None
        self.path = shutil.which("squid", path="/usr/sbin:/usr/bin")
        if not self.path:
            return
        os.makedirs(folder)
        # As root it becomes another user, who must come here.
        os.chmod(folder, 0o777)
        os.chmod(os.path.dirname(os.path.dirname(folder)), 0o755)
        with open(os.path.join(folder, "hosts"), "w") as f:
            f.write(f"{GATE} {OUTSIDE}\n")
        path = os.path.join(folder, "squid.conf")
        with open(path, "w") as f:
            f.write(_CONFIGURATION.format(ip=self.ip, port=port, folder=folder))
        with open(os.path.join(folder, "out.log"), "wb") as log:
            self._process = subprocess.Popen([self.path, "-N", "-n", f"lab{os.getpid()}", "-f", path], stdout=log, stderr=log, cwd=folder)

    def stop(self):
        """Ends it."""
        if self._process:
            # It has memory of the machine's, which it gives back.
            end(self._process, 10)
