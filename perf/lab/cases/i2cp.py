"""Java's streaming library at Ramson's I2CP and at i2pd's calls one another: echoes, 20 MB, 100 streams at once, with keys and LeaseSets of all kinds; and what mistakes are answered."""

import base64
import os

from ..applications import Applications
from ..i2cp import Echo, Wire, call, make_keys
from ..outcome import Failed
from ..ramson import reader_key
from ..router import blinded_name

NEEDS_RAMSON = True
_ONE, _MANY = "1x1000", "100x20000"
_BIG, _QUICK_BIG = "1x20000000", "1x5000000"
_LIMIT = 300

NETWORK = Applications


def run(net):
    other = net.hops[-1]
    facts = [_echo(net, net.subject, net.partner, "to i2pd"), _echo(net, net.partner, net.subject, "from i2pd")]
    facts += [_echo(net, net.partner, other, "among i2pd"), _kinds(net), _mistakes(net)]
    return "; ".join(facts)


def _echo(net, caller, server, way):
    big = _QUICK_BIG if net.lab.quick else _BIG
    folder = os.path.join(net.dir, "programs")
    os.makedirs(folder, exist_ok=True)
    echo = Echo(net.lab, folder, server)
    try:
        name = echo.name()
        if not name:
            raise Failed(f"{way}: no session: {echo.said()[-3:]}", net.subject, net.partner)
        lines, times = call(net.lab, folder, caller, name, [_ONE, big, _MANY], _LIMIT)
    finally:
        echo.stop()
    if len(times) < 3:
        raise Failed(f"{way}: {lines[-3:]}", net.subject, net.partner)
    rate = int(big.split("x")[1]) / times[big] / 1000
    return f"{way}: echo in {times[_ONE]} ms, {rate:.2f} MB/s both ways, 100 streams in {times[_MANY] / 1000:.1f} s"


def _kinds(net):
    """Destinations of other kinds at Ramson: a LeaseSet that is encrypted, a transient key, signatures of other types."""
    folder, ed25519 = os.path.join(net.dir, "programs"), "EdDSA_SHA512_Ed25519"
    makes = lambda kind, **options: make_keys(net.lab, folder, kind, **options)
    reader, _ = reader_key(net.lab)
    name = base64.b64encode(b"reader").decode()
    for_reader = f"i2cp.leaseSetType=5,i2cp.leaseSetAuthType=2,i2cp.leaseSetPrivKey={reader},i2cp.leaseSetClient.psk.0={name}:{reader}"
    kinds = {
        "encrypted": (makes(ed25519), "i2cp.leaseSetType=5"),
        "encrypted for a reader": (makes("RedDSA_SHA512_Ed25519"), for_reader),
        "offline": (makes("RedDSA_SHA512_Ed25519", offline=True), "-"),
        "P-256": (makes("ECDSA_SHA256_P256"), "-"),
        "P-521": (makes("ECDSA_SHA512_P521"), "-"),
    }
    echoes = {kind: Echo(net.lab, folder, net.subject, options, keys) for kind, (keys, options) in kinds.items()}
    try:
        for kind, echo in echoes.items():
            name, caller = echo.name(), net.partner
            if not name:
                raise Failed(f"{kind}: no session: {echo.said()[-3:]}", net.subject)
            options = "-"
            if kind.startswith("encrypted"):  # i2pd looks up no such name by I2CP
                name, caller = blinded_name(kinds[kind][0]), net.subject
            if kind == "encrypted for a reader":
                options = f"echo.psk={reader}"
                if call(net.lab, folder, caller, name, [_ONE], 5)[1]:
                    raise Failed("a LeaseSet was read without its key", net.subject)
            lines, times = call(net.lab, folder, caller, name, [_ONE], 120, options)
            if not times:
                raise Failed(f"{kind}: {lines[-3:]}", net.subject, net.partner)
    finally:
        for echo in echoes.values():
            echo.stop()
    return f"called {', '.join(kinds)}"


def _mistakes(net):
    """Who says what cannot be is told so, and the connection ends; others are not disturbed."""
    wrong = []
    for what, kind, body, length, words in (
        ("a length of 4 GB", 32, b"", 0xFFFFFFFF, "Error reading message"),
        ("half a destination", 1, b"\x00" * 100, None, "Error reading message"),
        ("a lease set without session", 41, b"\x00\x01\x03", None, "CreateLeaseSet invalid session"),
    ):
        with Wire(net.subject.ip) as wire:
            wire.send(kind, body, length)
            reason = wire.ending()
        if words not in (reason or ""):
            wrong.append(f"{what}: {reason!r}")
    with Wire(net.subject.ip, b"POST / HTTP/1.1\r\n\r\n") as page:
        if page.ending() != "":
            wrong.append("a web page was answered")
    if wrong:
        raise Failed("; ".join(wrong), net.subject)
    return "4 mistakes answered"
