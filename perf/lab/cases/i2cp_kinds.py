"""Programs at Ramson's I2CP with keys and LeaseSets of all kinds are called from i2pd, read those of i2pd's, ask for records, and their mistakes are answered."""

import base64
import os
import socket
import struct
import subprocess
import threading
import time

from ..applications import Applications
from ..i2cp import PORT, Echo, Wire, call, make_keys
from ..outcome import Failed, eventually
from ..ramson import reader_key
from ..router import blinded_name
from ..sam import Refused, Session, blinded

NEEDS_RAMSON = True
_ONE = "1x1000"
_TYPE_RED25519 = 11
_FOUND, _NO_LEASE_SET, _UNSUPPORTED = 0, 6, 7  # what may come of a question

NETWORK = Applications


def run(net):
    os.makedirs(os.path.join(net.dir, "programs"), exist_ok=True)
    return "; ".join(part(net) for part in (_kinds, _told, _stands, _records, _hybrid, _mistakes))


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


def _told(net):
    """A program tells Ramson with which key a LeaseSet of i2pd's is read, by the BlindingInfo of its library."""
    folder, (reader, public) = os.path.join(net.dir, "programs"), reader_key(net.lab)
    readers = {"psk": {"i2cp.leaseSetAuthType": 2, "i2cp.leaseSetClient.psk.0": f"reader:{reader}"},
               "dh": {"i2cp.leaseSetAuthType": 1, "i2cp.leaseSetClient.dh.0": f"reader:{public}"}}
    with _EchoServer(net.web.ip) as server:
        for scheme, options in readers.items():
            try:
                options |= {"SIGNATURE_TYPE": _TYPE_RED25519, "i2cp.leaseSetType": 5}
                session = Session(net.partner.ip, f"for-{scheme}", **options)
                session.control.ok(f"STREAM FORWARD ID=for-{scheme} HOST={server.ip} PORT={server.port} SILENT=true")
            except (Refused, OSError) as e:
                raise Failed(f"i2pd has no LeaseSet for {scheme}: {e}", net.partner) from e
            name = blinded(session.destination)
            lines, times = call(net.lab, folder, net.subject, name, [_ONE], 120, f"echo.{scheme}={reader}")
            session.close()
            if not times:
                raise Failed(f"a LeaseSet of i2pd's for {scheme}: {lines[-3:]}", net.subject, net.partner)
    return f"told the keys for {', '.join(readers)} at i2pd"


def _stands(net):
    """A program publishes a MetaLeaseSet, at i2pd and at Ramson: a stream from Ramson reaches the second listed, for nobody has the first."""
    if not net.lab.i2cp_meta:
        return "MetaLeaseSets not tried: cargo build -p ramson-apps --example i2cp_meta"
    nobody = f"{'a' * 52}.b32.i2p"
    with _EchoServer(net.web.ip) as server:
        theirs, ours = Session(net.partner.ip, "stands"), Session(net.subject.ip, "calls")
        theirs.control.ok(f"STREAM FORWARD ID=stands HOST={server.ip} PORT={server.port} SILENT=true")
        try:
            for at in (net.hops[-1], net.subject):
                command = [net.lab.i2cp_meta, f"{at.ip}:{PORT}", nobody, theirs.b32]
                meta = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
                try:
                    _reached(net, at, ours, meta.stdout.readline().strip())
                finally:
                    meta.kill()
                    meta.wait()
        finally:
            theirs.close()
            ours.close()
    return "one who stands for another at i2pd and at Ramson is reached"


def _reached(net, at, ours, name):
    stream = eventually(120, lambda: _connected(ours, name), 1)
    if not stream:
        raise Failed(f"nobody is reached by a MetaLeaseSet that was published at {at}", net.subject, net.partner, at)
    stream.socket.sendall(b"anybody?")
    if stream.file.read(8) != b"anybody?":
        raise Failed("who is reached by a MetaLeaseSet does not answer", net.subject, net.partner)
    stream.close()


def _connected(session, name):
    """A stream to this name, or `None`."""
    try:
        return session.connect(name)
    except (Refused, OSError):
        return None


class _EchoServer:
    """Sends back what comes by TCP."""

    def __init__(self, ip):
        self._listener = socket.create_server((ip, 0))
        self.ip, self.port = self._listener.getsockname()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                end, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._echo, args=(end,), daemon=True).start()

    @staticmethod
    def _echo(end):
        with end:
            try:
                while data := end.recv(65536):
                    end.sendall(data)
            except OSError:
                pass  # the other side is gone

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.close()


def _records(net):
    """The records of LeaseSets are asked for, by hash and by destination: one at Ramson has some, one at i2pd none."""
    ours = Session(net.subject.ip, "records", **{"i2cp.leaseSetOption.0": "_smtp._tcp=1"})
    theirs = Session(net.partner.ip, "no-records")
    wrong = []
    try:
        for session, wanted in ((ours, b"\x00\x0f\x0a_smtp._tcp=\x011;"), (theirs, b"\x00\x00")):
            raw = session.raw
            for kind, key in ((2, session.raw_hash), (4, raw)):
                answer = eventually(120, lambda: _asked(net, kind, key), 3)
                if answer != raw + wanted:
                    wrong.append(f"question {kind} is answered {(answer or b'')[len(raw):]!r} instead of {wanted!r}")
        for kind, key, code in ((2, bytes(32), _NO_LEASE_SET), (9, b"", _UNSUPPORTED)):
            if (said := _ask(net, kind, key)[0]) != code:
                wrong.append(f"question {kind} is answered {said}, not {code}")
    finally:
        ours.close()
        theirs.close()
    if wrong:
        raise Failed("; ".join(wrong), net.subject)
    return "records read"


def _hybrid(net):
    """A program in Rust whose LeaseSet has keys of ML-KEM, alone and beside X25519, gets datagrams and sends them back."""
    if not net.lab.i2cp_echo:
        return "ML-KEM not tried: cargo build -p ramson-apps --example i2cp_echo"
    ours, theirs = (Session(router.ip, "asks", style="DATAGRAM", **{"i2cp.leaseSetEncType": "6,4"}) for router in (net.subject, net.partner))
    wrong, facts = [], []
    try:
        for types, askers in (("6,4", {"Ramson": ours, "i2pd": theirs}), ("6", {"Ramson": ours}), ("4", {"Ramson": ours, "i2pd": theirs})):
            command = [net.lab.i2cp_echo, f"{net.subject.ip}:{PORT}", types]
            echo = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            try:
                name = echo.stdout.readline().strip()
                before = _hybrid_handshakes(net)
                for who, asker in askers.items():
                    if not eventually(120, lambda: _echoed(asker, name), 1):
                        wrong.append(f"{who} gets nothing back from a program with keys of types {types}")
                time.sleep(2)  # what is counted is told once a second
                hybrid = _hybrid_handshakes(net) - before
                if (hybrid > 0) != ("6" in types):
                    wrong.append(f"{hybrid} hybrid handshakes with keys of types {types}")
                facts.append(f"{types} ({hybrid} hybrid handshakes)")
            finally:
                echo.kill()
                echo.wait()
    finally:
        ours.close()
        theirs.close()
    if wrong:
        raise Failed("; ".join(wrong), net.subject, net.partner)
    return f"echoes by keys of types {', '.join(facts)}"


def _hybrid_handshakes(net):
    return int(net.subject.metrics().total("ramson_destination_events_total", part="session", event="hybrid"))


def _echoed(asker, name):
    sent = os.urandom(100)
    asker.send(name, sent)
    got = asker.receive(3)
    return got is not None and got[0]["DESTINATION"] == name and len(got[1]) == len(sent)


def _ask(net, kind, key):
    """What comes of a question: the code, and what follows."""
    with Wire(net.subject.ip) as wire:
        wire.send(38, struct.pack(">HIIB", 0xFFFF, 1, 20_000, kind) + key)
        while message := wire.receive():
            if message[0] == 39:
                return message[1][6], message[1][7:]
    return None, b""


def _asked(net, kind, key):
    code, answer = _ask(net, kind, key)
    return answer if code == _FOUND else None


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
