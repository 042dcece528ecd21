"""Real servers behind the tunnels: nginx, OpenSSH, dovecot, exim, telnetd and dnsmasq, as far as they are installed.

Each runs in this script's own namespace, where every router can reach it, with all its files in one folder.
"""

import base64
import hashlib
import os
import shutil
import socket
import socketserver
import subprocess
import threading

from .outcome import eventually
from .process import end
from .sandbox import GATE, sh

USER, PASSWORD, DOMAIN = "reader", "lab-secret", "lab.example"
_EXIM_USER = "Debian-exim"  # it writes the letters that dovecot shows
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


class Server:
    """A program that listens at a port, if it is installed."""

    program, package = "", ""

    def __init__(self, folder, port):
        self.ip, self.port, self.folder, self._process = GATE, port, folder, None
        os.makedirs(folder, exist_ok=True)
        self.path = shutil.which(self.program, path=_PATH)
        if self.path:
            with open(os.path.join(folder, "out.log"), "wb") as log:
                self._process = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd=folder)

    def command(self):
        """Writes what it reads, and returns how it is started."""
        raise NotImplementedError

    def write(self, name, text, mode=0o644):
        """A file in its folder; returns its path."""
        path = os.path.join(self.folder, name)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def listens(self):
        """Whether it can be reached."""
        with socket.create_connection((self.ip, self.port), timeout=2):
            return True

    def stop(self):
        """Ends it."""
        if self._process:
            end(self._process, 5)


class Nginx(Server):
    """A web server with files, a page that gives a cookie and one that tells it, and one that keeps what is posted."""

    program, package = "nginx", "nginx-light"

    def command(self):
        for name in ("www", "body"):
            os.makedirs(os.path.join(self.folder, name), exist_ok=True)
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        places = "".join(f"{kind}_temp_path {self.folder}/{kind};\n" for kind in kinds)
        path = self.write("nginx.conf", f"""
daemon off; worker_processes 1; pid {self.folder}/pid; error_log stderr; user root;
events {{ worker_connections 1024; }}
http {{
    access_log off; {places} default_type text/html; types {{ text/html html; image/png png; }}
    server {{
        listen {self.ip}:{self.port}; root {self.folder}/www; client_max_body_size 100m;
        location = /cookie {{ add_header Set-Cookie "visit=lab; Path=/"; return 200 "given"; }}
        location = /visit {{ return 200 "$http_cookie"; }}
        location = /taken {{ return 200 "taken"; }}
        location = /post {{
            client_body_in_file_only on; client_body_temp_path {self.folder}/body;
            proxy_pass http://{self.ip}:{self.port}/taken; proxy_method GET; proxy_pass_request_body off;
            proxy_set_header Content-Length ""; add_header X-Kept $request_body_file;
        }}
    }}
}}
""")
        return [self.path, "-p", self.folder, "-c", path]

    def put(self, name, size):
        """A file of so many random bytes; returns its SHA-256."""
        content = os.urandom(size)
        with open(os.path.join(self.folder, "www", name), "wb") as f:
            f.write(content)
        return hashlib.sha256(content).hexdigest()

    def repository(self, name):
        """A git repository of two commits, to be cloned over HTTP; returns the newest commit."""
        work, served = os.path.join(self.folder, "work"), os.path.join(self.folder, "www", f"{name}.git")
        who = "-c user.name=lab -c user.email=lab@lab.example"
        sh(f"git init -q {work}")
        for n in (1, 2):
            with open(os.path.join(work, f"file-{n}"), "wb") as f:
                f.write(os.urandom(200_000))
            sh(f"cd {work} && git add . && git {who} commit -q -m 'Commit {n}'")
        sh(f"git clone -q --bare {work} {served} && git -C {served} update-server-info")
        return subprocess.check_output(["git", "-C", work, "rev-parse", "HEAD"], text=True).strip()


class Ssh(Server):
    """OpenSSH, for one key of whoever runs this."""

    program, package = "sshd", "openssh-server"

    def command(self):
        # It insists on this folder; the mount is this laboratory's own.
        sh("mkdir -p /run/sshd 2>/dev/null || mount -t tmpfs lab /run && mkdir -p /run/sshd")
        self.key = os.path.join(self.folder, "key")
        for name in ("key", "host"):
            sh(f"test -e {self.folder}/{name} || ssh-keygen -q -t ed25519 -N '' -f {self.folder}/{name}")
        path = self.write("sshd_config", f"""
ListenAddress {self.ip}:{self.port}
HostKey {self.folder}/host
AuthorizedKeysFile {self.folder}/key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
""")
        return [self.path, "-D", "-e", "-f", path]

    def run(self, place, command, data=b"", limit=120):
        """Runs a command on the server by way of a tunnel; returns its output."""
        ip, port = place
        options = ["-F", "none", "-i", self.key, "-p", str(port)]
        for option in ("StrictHostKeyChecking=no", f"UserKnownHostsFile={self.folder}/known", "BatchMode=yes"):
            options += ["-o", option]
        done = subprocess.run(["ssh", *options, ip, command], input=data, capture_output=True, timeout=limit, check=False)
        return done.stdout if done.returncode == 0 else done.stderr


class Dovecot(Server):
    """POP3 and, at the next port, IMAP, for what exim has delivered."""

    program, package = "dovecot", "dovecot-pop3d dovecot-imapd"

    def command(self):
        mail = os.path.join(self.folder, "mail")
        os.makedirs(mail, exist_ok=True)
        self.write("users", f"{USER}:{PASSWORD}\n")
        name = _EXIM_USER if os.getuid() == 0 and _has_user(_EXIM_USER) else str(os.getuid())
        sh(f"chmod 755 {os.path.dirname(self.folder)} {self.folder}; chmod 777 {mail}")
        path = self.write("dovecot.conf", f"""
base_dir = {self.folder}/run
state_dir = {self.folder}/state
log_path = /dev/stderr
protocols = imap pop3
listen = {self.ip}
ssl = no
disable_plaintext_auth = no
mail_location = maildir:{mail}
first_valid_uid = 1
first_valid_gid = 1
service imap-login {{
  inet_listener imap {{
    port = {self.port + 1}
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {self.port}
  }}
}}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {self.folder}/users
}}
userdb {{
  driver = static
  args = uid={name} gid={name} home={mail}
}}
""")
        return [self.path, "-F", "-c", path]


class Exim(Server):
    """SMTP; what comes for the domain goes into dovecot's folder."""

    program, package = "exim4", "exim4-daemon-light"
    mail = None  # set before it is made

    def command(self):
        sh(f"chmod 777 {self.folder}")
        path = self.write("exim.conf", f"""
primary_hostname = mail.{DOMAIN}
local_interfaces = {self.ip}
daemon_smtp_ports = {self.port}
spool_directory = {self.folder}
log_file_path = {self.folder}/%slog
pid_file_path = {self.folder}/pid
notifier_socket =
acl_smtp_rcpt = rcpt
acl_smtp_data = data
begin acl
rcpt:
  accept domains = {DOMAIN}
  deny
data:
  accept
begin routers
local:
  driver = accept
  transport = folder
begin transports
folder:
  driver = appendfile
  directory = {self.mail}
  maildir_format
  user = {_EXIM_USER}
""")
        return [self.path, "-bdf", "-C", path]


class Dnsmasq(Server):
    """DNS by UDP and TCP, for one name."""

    program, package = "dnsmasq", "dnsmasq-base"
    answer = "192.0.2.53"

    def command(self):
        listen = [f"--listen-address={self.ip}", f"--port={self.port}", "--bind-interfaces", "--user=root"]
        words = "x" * 200
        records = [f"--address=/name.{DOMAIN}/{self.answer}", *(f"--txt-record=long.{DOMAIN},{n}{words}" for n in range(4))]
        return [self.path, "-k", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--pid-file", *listen, *records]


class Telnetd:
    """telnetd, one process for each who calls; it shows a line and ends."""

    package = "inetutils-telnetd inetutils-telnet"

    def __init__(self, folder, port):
        self.ip, self.port = GATE, port
        self.path = shutil.which("telnet") and shutil.which("telnetd", path=_PATH)
        os.makedirs(folder, exist_ok=True)
        login = os.path.join(folder, "login")
        with open(login, "w") as f:
            # telnetd loses what is said last, at times.
            f.write("#!/bin/sh\necho welcome to the lab\nread line\necho heard: $line\nsleep 2\n")
        os.chmod(login, 0o755)
        command = [self.path, "-h", "-E", login]
        # It asks for the caller's name, and nobody answers here.
        environment = os.environ | {"RES_OPTIONS": "timeout:1 attempts:1"}

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                place = self.request.fileno()
                subprocess.run(command, stdin=place, stdout=place, stderr=place, env=environment, check=False)

        class Listener(socketserver.ThreadingTCPServer):
            allow_reuse_address, daemon_threads = True, True

        self._server = Listener((self.ip, self.port), Handler) if self.path else None
        if self._server:
            threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def listens(self):
        return True

    def stop(self):
        """Takes no more calls."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()


class Programs:
    """All of them. `missing` names the packages of those that are not installed."""

    def __init__(self, folder):
        place = lambda name: os.path.join(folder, name)
        os.makedirs(folder, exist_ok=True)
        self.nginx, self.ssh = Nginx(place("nginx"), 8081), Ssh(place("ssh"), 2222)
        self.mail, self.telnet = Dovecot(place("dovecot"), 1110), Telnetd(place("telnetd"), 2323)
        self.dns = Dnsmasq(place("dns"), 5353)
        Exim.mail = os.path.join(folder, "dovecot", "mail")
        self.smtp = Exim(place("exim"), 2525)
        self._all = (self.nginx, self.ssh, self.mail, self.telnet, self.dns, self.smtp)
        self.missing = [one.package for one in self._all if not one.path]
        for one in self._all:
            if one.path:
                eventually(10, one.listens, 0.1)

    def by_port(self):
        """What listens at which port: those of a destination."""
        imap = Place(self.mail.ip, self.mail.port + 1)
        return {80: self.nginx, 22: self.ssh, 110: self.mail, 143: imap, 25: self.smtp, 23: self.telnet, 53: self.dns}

    def stop(self):
        """Ends all."""
        for one in self._all:
            one.stop()


class Place:
    """An address and a port."""

    def __init__(self, ip, port):
        self.ip, self.port = ip, port


def random_text(size):
    """So many characters."""
    return base64.b64encode(os.urandom(size))[:size].decode()


def _has_user(name):
    with open("/etc/passwd") as f:
        return any(line.startswith(f"{name}:") for line in f)
