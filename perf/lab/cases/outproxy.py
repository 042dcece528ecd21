"""What is not in I2P is fetched by an outproxy behind i2pd, when the one before it in the list does not answer; nothing local is."""

from ..applications import PROXY, Applications, curl, download
from ..outcome import Failed

NEEDS_RAMSON = True


class NETWORK(Applications):
    """The network of applications, with a web server behind i2pd that is an outproxy, too."""

    name = "outproxy"

    def configure(self):
        super().configure()
        nobody = f"{'a' * 52}.b32.i2p"
        self.subject.outproxies = [nobody, self.partner.name_of("plain")]


def run(net):
    file, proxy = net.web.file(100_000), ("--proxy", f"http://{net.subject.ip}:{PROXY}")
    download(net, file, *proxy, f"http://outside.example/{file.path}", patience=60)
    heard = curl(*proxy, "http://outside.example/headers")[1].decode().lower()
    if "host: outside.example" not in heard or "curl" in heard:
        raise Failed(f"the outproxy heard {heard}", net.subject)
    code = curl(*proxy, "--output", "/dev/null", "--write-out", "%{http_code}", "http://127.0.0.1/")[1]
    if code != b"403":
        raise Failed(f"for an address of the outproxy's machine: {code}", net.subject)
    return "100 kB by the second of two outproxies, which hears nothing of curl"
