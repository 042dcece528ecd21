"""dig asks dnsmasq by UDP through tunnels of datagrams of each kind, each way between Ramson and i2pd, and through Ramson's SOCKS proxy."""

import shutil
import socket
import subprocess

from ..offices import DATAGRAMS, DNS, SOCKS, Offices
from ..outcome import Failed, Skipped, eventually
from ..servers import DOMAIN

NEEDS_RAMSON = True
NETWORK = Offices
_PATIENCE = 180  # seconds for the first tunnels and LeaseSets
_MANY, _QUICK_MANY = 200, 40  # questions one after the other, of which some may be lost


def run(net):
    dns = net.programs.dns
    if not dns.path or not shutil.which("dig"):
        raise Skipped(f"no dnsmasq: apt-get install --no-install-recommends {dns.package} bind9-dnsutils")
    facts, many = [], _QUICK_MANY if net.lab.quick else _MANY
    for way, router, _ in net.ways():
        answered = []
        for kind in DATAGRAMS:
            place = router.ip, DNS + kind
            if not eventually(_PATIENCE, lambda place=place: _ask(place) == dns.answer, 1):
                raise Failed(f"no answer {way} with datagrams {kind}", router, net.subject, net.partner)
            if not eventually(20, lambda place=place: len(_ask(place, f"long.{DOMAIN}", "TXT")) > 800, 0):
                raise Failed(f"no long answer {way} with datagrams {kind}", router, net.subject, net.partner)
            answered.append(_many(place, dns.answer, many))
        if min(answered) < many * 9 // 10:
            raise Failed(f"answers {way}, of {many} each: {answered}", router, net.subject, net.partner)
        facts.append(f"{way} {answered}")
    if (word := _by_socks(net)) != dns.answer:
        raise Failed(f"by SOCKS: {word}", net.subject, net.partner)
    return f"of {many} answers with each kind: {', '.join(facts)}; by SOCKS as well"


def _ask(place, name=f"name.{DOMAIN}", kind="A"):
    command = ["dig", "+short", "+notcp", "+bufsize=4096", "+time=5", "+tries=1", f"@{place[0]}", "-p", str(place[1]), name, kind]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _many(place, answer, count):
    """How many of many questions are answered, asked one after the other from ports of their own."""
    path = ["dig", "+short", "+notcp", "+time=5", "+tries=1", f"@{place[0]}", "-p", str(place[1])]
    questions = [f"name.{DOMAIN}"] * count
    done = subprocess.run([*path, *questions], capture_output=True, text=True, check=False, timeout=600)
    return done.stdout.split().count(answer)


def _by_socks(net):
    """One question by UDP associate. RFC 1928 and RFC 1035."""
    name = net.office(net.partner).encode()
    labels = b"".join(bytes([len(part)]) + part.encode() for part in f"name.{DOMAIN}".split("."))
    question = b"\0\7\1\0\0\1\0\0\0\0\0\0" + labels + b"\0\0\1\0\1"
    with socket.create_connection((net.subject.ip, SOCKS), timeout=60) as control:
        control.sendall(b"\5\1\0\5\3\0\1\0\0\0\0\0\0")
        heard = b""
        while len(heard) < 12:
            heard += control.recv(64)
        at = socket.inet_ntoa(heard[6:10]), int.from_bytes(heard[10:12], "big")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
            port.settimeout(5)
            for _ in range(12):
                port.sendto(b"\0\0\0\3" + bytes([len(name)]) + name + b"\0\x35" + question, at)
                try:
                    answer = port.recv(4096)
                except TimeoutError:
                    continue
                if answer[5 : 5 + len(name)] == name:
                    return socket.inet_ntoa(answer[-4:])
    return "nothing comes"
