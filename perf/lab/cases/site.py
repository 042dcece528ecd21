"""A folder that Ramson shows is read through i2pd's proxy: whole, in part, unchanged, and nothing outside of it."""

import os

from ..applications import PARTNER_PROXY, Applications, curl, download
from ..outcome import Failed
from ..web import File

NEEDS_RAMSON = True
NETWORK = Applications
_CODE = ("--output", "/dev/null", "--write-out", "%{http_code}", "--path-as-is")


def run(net):
    content = net.web.file(1_000_000)
    body = net.web.content(content)
    for path, text in (("index.html", b"<p>home"), ("sub/data.bin", body), ("404.html", b"nothing here")):
        with open(os.path.join(net.folder, path), "wb") as f:
            f.write(text)
    os.symlink("/etc/passwd", os.path.join(net.folder, "out"))
    proxy = ("--proxy", f"http://{net.partner.ip}:{PARTNER_PROXY}")
    site = f"http://{net.subject.name_of('folder')}"
    download(net, File("sub/data.bin", content.size, content.sha256), *proxy, f"{site}/sub/data.bin")
    part = curl(*proxy, "--range", "500000-500099", f"{site}/sub/data.bin")[1]
    if part != body[500_000:500_100]:
        raise Failed(f"a hundred bytes from the middle: {len(part)} bytes, others", net.subject)
    codes = {path: curl(*proxy, *_CODE, f"{site}{path}")[1].decode() for path in ("/", "/out", "/none", "/sub/../../../10-ramson/out.log")}
    if codes != {"/": "200"} | dict.fromkeys(list(codes)[1:], "404"):
        raise Failed(f"what is shown: {codes}", net.subject)
    head = curl(*proxy, "--head", site)[1].decode()
    modified = next(line for line in head.splitlines() if line.lower().startswith("last-modified:")).split(":", 1)[1].strip()
    again = curl(*proxy, *_CODE, "--header", f"If-Modified-Since: {modified}", site)[1].decode()
    if again != "304":
        raise Failed(f"what has not changed: {again}", net.subject)
    return "1 MB whole and in part, 304 for what has not changed, 404 for links out and for what is not there"
