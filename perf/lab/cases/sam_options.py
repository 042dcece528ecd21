"""Sessions of SAM whose LeaseSets are encrypted, for all and for readers, and whose keys are of every type that both have, each way between Ramson and i2pd."""

import threading
import time

from ..applications import Applications
from ..outcome import Failed, eventually
from ..ramson import reader_key
from ..sam import Refused, Session, Socket, blinded

NEEDS_RAMSON = True
NETWORK = Applications

_KEYS = {"7": "EdDSA", "1": "P-256", "2": "P-384", "3": "P-521", "11": "RedDSA"}
_ENCRYPTED = {"i2cp.leaseSetType": 5}
_LIMIT = 150  # seconds for all sessions and calls


def run(net):
    reader, public = reader_key(net.lab)
    kinds = {f"type {code}": {"SIGNATURE_TYPE": code} for code in _KEYS}
    kinds |= {
        "open": _ENCRYPTED,
        "open type 11": {"SIGNATURE_TYPE": "11", **_ENCRYPTED},
        "DH": {**_ENCRYPTED, "i2cp.leaseSetAuthType": 1, "i2cp.leaseSetClient.dh.0": f"reader:{public}"},
        "PSK": {**_ENCRYPTED, "i2cp.leaseSetAuthType": 2, "i2cp.leaseSetClient.psk.0": f"reader:{reader}"},
    }
    ends = {"Ramson": net.subject.ip, "i2pd": net.partner.ip}
    sessions, errors = {}, []

    def open_one(router, kind, options):
        try:
            sessions[router, kind] = Session(ends[router], f"{router}-{kind}".replace(" ", "-"), **options)
        except (Refused, OSError) as e:
            errors.append(f"{router} {kind}: {e}")

    for host in ends.values():
        eventually(60, lambda host=host: _listens(host), 0.5)
    begun = time.monotonic()
    wanted = [(router, kind, options) for router in ends for kind, options in kinds.items()]
    wanted += [(router, "caller", {"i2cp.leaseSetPrivKey": reader}) for router in ends]
    wanted.append(("Ramson", "datagrams", {"style": "DATAGRAM"}))
    wanted.append(("i2pd", "datagrams", {"style": "DATAGRAM", **_ENCRYPTED}))
    _at_once(open_one, wanted)
    if errors:
        raise Failed("; ".join(errors), net.subject, net.partner)
    calls = []
    for caller, taker in (("Ramson", "i2pd"), ("i2pd", "Ramson")):
        calls += [(sessions[caller, "caller"], sessions[taker, kind], f"{caller} calls {kind}") for kind in kinds]
        calls += [(sessions[caller, f"type {code}"], sessions[taker, "type 7"], f"{caller} of type {code} calls")
                  for code in _KEYS if code != "7"]
    heard = {}
    calls_of_takers = {}
    for call in calls:
        calls_of_takers.setdefault(id(call[1]), []).append(call)

    def call_all(*of_one):
        for caller, taker, what in of_one:
            heard[what] = _call(caller, taker, begun + _LIMIT)

    _at_once(call_all, calls_of_takers.values())
    errors = [f"{what}: {error}" for what, error in heard.items() if error]
    errors += _read_without_key(net, sessions) + _names(net, sessions) + _datagrams(sessions, begun + _LIMIT)
    for session in sessions.values():
        session.close()
    if errors:
        raise Failed("; ".join(errors), net.subject, net.partner)
    return f"{len(calls)} calls between {len(sessions)} sessions in {time.monotonic() - begun:.0f} s; datagrams, names, and no reader without a key"


def _listens(host):
    try:
        Socket(host).close()
    except (Refused, OSError):
        return False
    return True


def _at_once(what, arguments):
    threads = [threading.Thread(target=what, args=tuple(some)) for some in arguments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _name(session):
    """The name by which a session is to be called: the long one, if its LeaseSet is encrypted."""
    if "i2cp.leaseSetType" not in session.options:
        return session.destination
    return blinded(session.destination)


def _call(caller, taker, end):
    """A line each way; what went wrong, or nothing."""
    waiting, error = taker.accept(), "not tried"
    try:
        while time.monotonic() < end:
            try:
                stream = caller.connect(_name(taker))
            except Refused as e:
                error = str(e).partition("RESULT=")[2]
                time.sleep(2)
                continue
            with stream:
                stream.socket.settimeout(30)
                waiting.socket.settimeout(30)
                stream.socket.sendall(b"there\n")
                who, there = waiting.file.readline().split(), waiting.file.readline()
                waiting.socket.sendall(b"back\n")
                back = stream.file.readline()
            if not who or who[0].decode() != caller.destination:
                return "another one called"
            return None if (there, back) == (b"there\n", b"back\n") else f"heard {there} and {back}"
        return error
    except OSError as e:
        return str(e)
    finally:
        waiting.close()


def _read_without_key(net, sessions):
    """Whoever has no key is told so."""
    stranger = sessions["Ramson", "type 7"]
    try:
        stranger.connect(_name(sessions["i2pd", "PSK"])).close()
    except Refused as e:
        return [] if "key" in str(e) else [f"a reader without a key is told {e}"]
    return ["a LeaseSet was read without its key"]


def _names(net, sessions):
    """Names with keys are looked up, as a session, which has the key, and as nobody; records are asked for."""
    caller, wrong = sessions["Ramson", "caller"].control, []
    for kind in ("open", "DH"):
        one = sessions["i2pd", kind]
        found = caller.ask(f"NAMING LOOKUP NAME={_name(one)}")
        if f"VALUE={one.destination}" not in found:
            wrong.append(f"the name of {kind} leads to {found[:60]}")
    plain = sessions["i2pd", "type 7"].destination
    if caller.ask(f"NAMING LOOKUP NAME={plain} OPTIONS=true") != f"NAMING REPLY RESULT=OK NAME={plain} VALUE={plain}":
        wrong.append("a LeaseSet without records is not told so")
    nobody = "a" * 52 + ".b32.i2p"
    if "LEASESET_NOT_FOUND" not in caller.ask(f"NAMING LOOKUP NAME={nobody} OPTIONS=true"):
        wrong.append("nobody's LeaseSet was found")
    return wrong


def _datagrams(sessions, end):
    """Datagrams by a name with a key, at first lost as all datagrams may be."""
    ours, theirs = (sessions[router, "datagrams"] for router in ("Ramson", "i2pd"))
    while time.monotonic() < end:
        ours.send(_name(theirs), b"datagram")
        got = theirs.receive(3)
        if got:
            return [] if (got[0]["DESTINATION"], got[1]) == (ours.destination, b"datagram") else ["another datagram came"]
    return ["no datagram came by a name with a key"]
