"""INN behind the tunnels, if it is installed, and slrn, which reads and posts."""

import os
import shutil
import subprocess

from .sandbox import sh
from .servers import DOMAIN, Server

GROUP = "lab.test"
_BIN = "/usr/lib/news/bin"


class News(Server):
    """A news server with one group, which anybody may read and post in."""

    program, package = f"{_BIN}/innd", "inn2 slrn"

    def command(self):
        f = self.folder
        for name in ("etc", "db", "run", "log", "tmp", "articles", "overview", "incoming/bad", "outgoing"):
            os.makedirs(f"{f}/{name}", exist_ok=True)
        places = {name: name for name in ("db", "etc", "run", "log", "tmp", "articles", "overview", "incoming", "outgoing")}
        places |= {"http": "log", "filter": "filter", "spool": "."}
        # Without a limit of the machine's load: a laboratory has none to spare.
        self.write("etc/inn.conf", f"""
organization: lab
mta: "/bin/true %s"
ovmethod: tradindexed
hismethod: hisv6
enableoverview: true
pathhost: news.{DOMAIN}
domain: {DOMAIN}
server: {self.ip}
pathnews: /usr/lib/news
pathbin: {_BIN}
pathcontrol: {_BIN}/control
bindaddress: {self.ip}
port: {self.port}
nnrpdloadlimit: 0
{"".join(f"path{name}: {f}/{folder}{chr(10)}" for name, folder in places.items())}""")
        for name, text in (
            ("etc/incoming.conf", 'peer ME { hostname: "localhost" }\n'),
            ("etc/readers.conf", 'auth all { hosts: "*" default: "<anyone>" }\naccess all { users: "*" newsgroups: "*" access: RPA }\n'),
            ("etc/storage.conf", "method tradspool { newsgroups: * class: 0 }\n"),
            ("etc/newsfeeds", "ME:!*::\n"),
            ("etc/expire.ctl", "/remember/:10\n*:A:1:10:never\n"),
            ("db/active", "".join(f"{group} 0 1 {flag}\n" for group, flag in (("control", "n"), ("control.cancel", "n"), ("junk", "n"), (GROUP, "y")))),
            ("db/newsgroups", f"{GROUP}\tLaboratory\n"),
            ("db/active.times", f"{GROUP} 1000000000 lab\n"),
            *((name, "") for name in ("db/history", "etc/control.ctl", "etc/passwd.nntp", "etc/moderators", "etc/cycbuff.conf")),
        ):
            # What may hold passwords must not be everybody's.
            self.write(name, text, 0o640)
        # As root it becomes the user that its package made, and insists on owning all this.
        sh(f"chmod 755 {os.path.dirname(os.path.dirname(f))} {os.path.dirname(f)} {f}; chown -R news:news {f}")
        subprocess.run([f"{_BIN}/makedbz", "-i", "-o", "-s", "10000", "-f", f"{f}/db/history"], env=self._environment(), check=True)
        variables = [f"{name}={value}" for name, value in self._environment().items() if name not in os.environ]
        return ["env", *variables, self.path, "-d", "-f"]

    def _environment(self):
        # It asks for callers' names, and nobody answers here.
        return os.environ | {"INNCONF": f"{self.folder}/etc/inn.conf", "RES_OPTIONS": "timeout:1 attempts:1"}


def slrn(place, folder):
    """The command that reads the group at an address and port, and the variables that it needs; `folder` is its own. What it posts are the
    words in the file `words`."""
    os.makedirs(folder, exist_ok=True)
    files = {
        "rc": f'set hostname "{DOMAIN}"\nset username "me"\nset realname "Lab"\nset editor_command "{folder}/edit \'%s\'"\n'
        "set confirm_actions 0\nset cc_followup 0\nset generate_message_id 0\n",
        "newsrc": f"{GROUP}:\n",
        "edit": f'#!/bin/sh\ncat {folder}/words >> "$1"\n',
    }
    for name, text in files.items():
        with open(os.path.join(folder, name), "w") as f:
            f.write(text)
    os.chmod(os.path.join(folder, "edit"), 0o755)
    ip, port = place
    return ["slrn", "-i", f"{folder}/rc", "-f", f"{folder}/newsrc", "-h", ip, "-p", str(port)], {"HOME": folder}


def installed():
    """Whether both are."""
    return bool(shutil.which(f"{_BIN}/innd") and shutil.which("slrn"))
