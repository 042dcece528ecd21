"""Ramson, driven only by what it documents: command line, configuration file, data folder, exporter."""

import json
import os
import re
import shutil
import signal
import subprocess

from .metrics import Metrics
from .outcome import eventually
from .router import NETWORK_ID, Router, destination_name

EXPORTER = 9656
SAM_TLS, I2CP_TLS = 7657, 7667
PASSWORD = "itoopie"  # that of I2PControl, as i2pd has it unless told otherwise


def reader_key(lab):
    """A new key of a reader of encrypted LeaseSets, and its public half."""
    text = subprocess.run([lab.ramson, "client-key"], capture_output=True, check=True, text=True).stdout
    return re.findall(r'"([^"]+)"', text)


class Ramson(Router):
    """A Ramson under test. `exploratory` is the number of its own tunnels in each direction, `transports` what it speaks."""

    kind = "ramson"
    chatter = re.compile(r" INFO actix_server")
    page = EXPORTER
    info_name = os.path.join("data", "router.info")
    publish = "none"  # what it publishes behind a NAT
    private = True  # it holds its network for a private one, in which no rules by network hold

    def __init__(self, net, n, floodfill=False, exploratory=3, transports=("ntcp2",)):
        super().__init__(net, n, floodfill)
        self.exploratory, self.transports, self.more = exploratory, transports, ""
        self.tunnels, self.tunnel_files, self.outproxies = [], [], []
        self.proxy_port, self.socks_port = None, None
        self.sam_port, self.i2cp_port, self.bob_port, self.i2pcontrol_port = None, None, None, None

    def _configuration(self):
        return f"""
[network]
id = {NETWORK_ID}
allow_private_addresses = {str(self.private).lower()}
bootstrap = ["{self.dir}/bootstrap"]
[router]
floodfill = {str(self.floodfill).lower()}
{f"tunnel_files = {json.dumps(self.tunnel_files)}" if self.tunnel_files else ""}
{"".join(map(self._transport, ("ntcp2", "ssu2")))}[bandwidth]
inbound = "25MB/s"
outbound = "25MB/s"
[transit]
max_tunnels = 2000
[exploratory]
length = 2
quantity = {self.exploratory}
[metrics]
listen = "{self.nat.inner if self.nat else self.ip}:{EXPORTER}"
[http_proxy]
outproxies = {json.dumps(self.outproxies)}
{self._proxy(self.proxy_port)}[socks_proxy]
{self._proxy(self.socks_port)}[sam]
{self._sam()}[i2cp]
{self._i2cp()}[bob]
{self._proxy(self.bob_port)}[i2pcontrol]
{self._i2pcontrol()}[log]
level = "{os.environ.get("RAMSON_LOG", "info")}"
{self.more}{"".join(self.tunnels)}"""

    def _transport(self, name):
        if name not in self.transports:
            return f"[{name}]\nenabled = false\n"
        if self.nat:
            return f"[{name}]\nenabled = true\nlisten = \"{self.nat.inner}:{self.port}\"\npublish = \"{self.publish}\"\n"
        return f"""[{name}]
enabled = true
listen = "{self.endpoint}"
publish = "{self.endpoint}"
"""

    def _proxy(self, port):
        if not port:
            return "listen = false\n"
        return f'listen = "{self.ip}:{port}"\nlength = 2\nquantity = 2\n'

    def _sam(self):
        # Everywhere, since programs look for it at 127.0.0.1.
        if not self.sam_port:
            return "listen = false\nudp_listen = false\n"
        return f'''listen = "0.0.0.0:{self.sam_port}"
udp_listen = "0.0.0.0:{self.sam_port - 1}"
socket = "{self.sam_socket}"
tls_listen = "{self.ip}:{SAM_TLS}"
length = 2
quantity = 2
'''

    def _i2cp(self):
        tls = f'tls_listen = "127.0.0.1:{I2CP_TLS}"\n' if self.i2cp_port else ""
        return self._proxy(self.i2cp_port) + tls

    @property
    def sam_socket(self):
        """The path of SAM's UNIX socket, short enough for one."""
        return f"{self.dir}/sam.sock"

    @property
    def certificate(self):
        """What its local servers speak TLS with."""
        return os.path.join(self.dir, "data", "local", "https.crt")

    def _i2pcontrol(self):
        if not self.i2pcontrol_port:
            return "listen = false\n"
        return f'listen = "{self.ip}:{self.i2pcontrol_port}"\npassword = "{PASSWORD}"\n'

    def serve(self, name, web, length=2, quantity=2, kind="server", **options):
        """Adds a server tunnel to `web`, of this kind and with these options."""
        self._tunnel(name, length, quantity, type=kind, target=f"{web.ip}:{web.port}", **options)

    def reach(self, name, port, destination, length=2, quantity=2, kind="client", to_port=0, **options):
        """Adds a client tunnel of this kind on `port` to a port of a .b32.i2p name."""
        options |= {"listen": f"{self.ip}:{port}", "destination": destination, "port": to_port}
        self._tunnel(name, length, quantity, type=kind, **options)

    def show(self, name, folder, length=2, quantity=2):
        """Adds a site of this folder."""
        self._tunnel(name, length, quantity, type="site", directory=folder)

    def forget(self, name):
        """Takes a tunnel out of the configuration again."""
        self.tunnels = [tunnel for tunnel in self.tunnels if f'name = "{name}"' not in tunnel]

    def reload(self):
        """Has it read its configuration, as it stands now, again."""
        self.command()
        self.process.send_signal(signal.SIGHUP)

    def _tunnel(self, name, length, quantity, **options):
        lines = [f"{key} = {json.dumps(value)}\n" for key, value in options.items()]
        numbers = f"inbound_length = {length}\noutbound_length = {length}\nquantity = {quantity}\n"
        self.tunnels.append(f'[[tunnel]]\nname = "{name}"\n{"".join(lines)}{numbers}')

    def name_of(self, tunnel, name=destination_name):
        """The .b32.i2p name of one of its tunnels, whose keys it makes at its first start with it."""
        keys = os.path.join(self.dir, "data", "destinations", f"{tunnel}.dat")
        eventually(20, lambda: os.path.exists(keys), 0.2)
        return name(keys)

    def command(self):
        os.makedirs(os.path.join(self.dir, "bootstrap"), exist_ok=True)
        config = os.path.join(self.dir, "ramson.toml")
        with open(config, "w") as f:
            f.write(self._configuration())
        return [self.lab.ramson, "run", "--config", config, "--data", os.path.join(self.dir, "data")]

    def drain(self, limit=30):
        """Asks it to end, and not to wait for the end of others' tunnels."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(2)
        except subprocess.TimeoutExpired:
            pass  # it carries tunnels of others
        return super().drain(limit) if self.process.poll() is None else self._ended()

    def _ended(self):
        status = self.process.wait()
        self.kill()
        return status

    def learn(self, other):
        folder = os.path.join(self.dir, "bootstrap")
        os.makedirs(folder, exist_ok=True)
        shutil.copy(other.info_path(), os.path.join(folder, f"routerInfo-{other.hash()}.dat"))

    def info(self):
        """What `ramson info --json` says."""
        command = [self.lab.ramson, "info", "--data", os.path.join(self.dir, "data"), "--json"]
        return json.loads(subprocess.run(command, capture_output=True, check=True, timeout=10).stdout)

    def ping(self, whom, count=2):
        """What `ramson ping` says of a destination."""
        command = [self.lab.ramson, "ping", whom, "--count", str(count), "--data", os.path.join(self.dir, "data")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
        return done.stdout if done.returncode == 0 else done.stderr

    def state(self):
        return self.metrics().like(r"_total$|^ramson_(sessions|connections|hops|netdb_entries|own_tunnels)|resident|fds")

    def metrics(self):
        """A scrape."""
        return Metrics(self.get(EXPORTER, "metrics"))

    def builds(self):
        """Its own tunnels by result, such as {"ok": 12, "timeout": 1}."""
        return self.metrics().by("ramson_own_builds_total", "result")

    def tunnel_tests(self):
        """Its tests of its own tunnels by result: "ok", "failed"."""
        return self.metrics().by("ramson_tunnel_tests_total", "result")

    # What the cases ask of any router under test.

    def sessions_by_direction(self):
        """Open sessions that peers began ("in") and that it began ("out")."""
        now = self.metrics()
        return {way: int(now.total("ramson_sessions", direction=way)) for way in ("in", "out")}

    def cells(self, role):
        """Tunnel cells handled in a role: `participant`, `inbound_gateway`, `outbound_endpoint`."""
        return int(self.metrics().total("ramson_cells_total", role=role))

    def filter_bytes(self):
        """Memory of the filter of repeated cells."""
        return int(self.metrics().total("ramson_iv_filter_bytes"))

    def stored(self, kind):
        """Entries of its netDb: `router_info`, or `lease_set` of any kind. The exporter counts them every few seconds."""
        entries = self.metrics().by("ramson_netdb_entries", "kind")
        return entries["router_info"] if kind == "router_info" else entries.total() - entries["router_info"]


class FoundRamson(Ramson):
    """A Ramson that listens everywhere and finds out by itself where it can be called."""

    publish = "auto"
    listen = "0.0.0.0"

    def _transport(self, name):
        if name not in self.transports:
            return f"[{name}]\nenabled = false\n"
        # Who is connected shows nothing in a test, and there are few here: sessions end soon.
        return f"""[{name}]
enabled = true
listen = "{self.listen}:{self.port}"
publish = "{self.publish}"
idle_close = "30s"
"""

    def is_published(self):
        """Whether its RouterInfo names its address, and so says that it can be called."""
        return self.address.encode() in self.router_info()

    def reachability(self):
        """What peers have found, such as ["ok"]."""
        return [status for status, yes in self.metrics().by("ramson_reachability", "status").items() if yes]

    def state(self):
        tests = self.metrics().like(r"^ramson_ssu2_services_total.*peer_test")
        return [f"published: {self.is_published()}; found {self.reachability()}", *tests, *super().state()]
