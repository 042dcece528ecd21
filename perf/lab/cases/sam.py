"""Programs with SAM sessions at Ramson and at i2pd call each other: 10 MB both ways, names, forwards, parts, and what mistakes are answered."""

import socket
import threading
import time

from ..applications import Applications
from ..outcome import Failed, eventually
from ..sam import Refused, Session, Socket, exchange

NEEDS_RAMSON = True
_SIZE, _QUICK_SIZE = 10_000_000, 10_000_000
_ANY_KEY = "A" * 516  # as long as a destination

# What is asked of both servers. The first words of the answers, up to RESULT, must be the same, but where a second answer is named:
# that is what Ramson says instead, on purpose.
_MISTAKES = (
    ("SESSION CREATE STYLE=STREAM ID=x", None),
    ("SESSION CREATE STYLE=STREAM ID=x DESTINATION=AAAA", None),
    ("SESSION CREATE STYLE=NONE ID=x DESTINATION=TRANSIENT", None),
    ("SESSION CREATE STYLE=STREAM ID=a/b DESTINATION=TRANSIENT", None),
    ("SESSION CREATE STYLE=STREAM ID=one DESTINATION=TRANSIENT", None),
    ("STREAM CONNECT ID=nobody DESTINATION=" + _ANY_KEY, None),
    ("STREAM CONNECT ID=one DESTINATION=AAAA", None),
    ("STREAM CONNECT ID=one DESTINATION=nobody.i2p", "STREAM STATUS RESULT=KEY_NOT_FOUND"),
    ("STREAM ACCEPT ID=nobody", None),
    ("STREAM FORWARD ID=nobody PORT=1", None),
    ("STREAM FORWARD ID=one", "STREAM STATUS RESULT=I2P_ERROR"),  # i2pd says SESSION STATUS
    ("NAMING LOOKUP NAME=nobody.i2p", "NAMING REPLY RESULT=KEY_NOT_FOUND"),
    ("NAMING LOOKUP NAME=nothing", None),
    ("NONSENSE AND MORE", None),
)


NETWORK = Applications


def run(net):
    ours = eventually(240, lambda: _session(net.subject.ip), 2)
    theirs = eventually(240, lambda: _session(net.partner.ip), 2)
    if not ours or not theirs:
        raise Failed(f"no session at {'i2pd' if ours else 'Ramson'}", net.subject, net.partner)
    try:
        facts = [_name(net, ours, theirs)]
        facts += [_transfer(net, "to i2pd", ours, theirs), _transfer(net, "from i2pd", theirs, ours)]
        facts += [_many(net, ours, theirs), _forward(net, ours, theirs), _primary(net, theirs)]
        facts += [_mistakes(net), _end(net, ours)]
    except Refused as e:
        raise Failed(str(e), net.subject, net.partner) from e
    return "; ".join(facts)


def _session(host):
    try:
        return Session(host, "one")
    except (Refused, OSError):
        return None


def _retry(net, what, attempt):
    """LeaseSets take a while to be found: tried again until it works."""
    error = None
    for _ in range(40):
        try:
            return attempt()
        except Refused as e:
            error = e
            time.sleep(3)
    raise Failed(f"{what}: {error}", net.subject, net.partner)


def _name(net, ours, theirs):
    """A b32 name is looked up on the socket of the session and on one without."""
    for control in (ours.control, Socket(net.subject.ip)):
        value = _retry(net, "lookup", lambda: control.ok(f"NAMING LOOKUP NAME={theirs.b32}"))["VALUE"]
        if value != theirs.destination:
            raise Failed("a name was found to be somebody else's", net.subject)
    return "names found"


def _transfer(net, way, caller, taker):
    size = _QUICK_SIZE if net.lab.quick else _SIZE
    waiting = taker.accept()
    stream = _retry(net, way, lambda: caller.connect(taker.destination))
    who = waiting.file.readline().decode().split()
    if not who or who[0] != caller.destination:
        raise Failed(f"{way}: the one who called is not the one who was told", net.subject, net.partner)
    begun = time.monotonic()
    if not exchange(stream, waiting, size):
        raise Failed(f"{way}: other bytes arrived than were sent", net.subject, net.partner)
    seconds = time.monotonic() - begun
    stream.close()
    waiting.close()
    return f"{way}: {size // 1_000_000} MB each way in {seconds:.0f} s"


def _many(net, ours, theirs):
    """Several wait at once, each gets one stream."""
    waiting = [ours.accept() for _ in range(5)]
    streams = [_retry(net, "many", lambda: theirs.connect(ours.b32)) for _ in waiting]
    for n, stream in enumerate(streams):
        stream.socket.sendall(f"{n}\n".encode())
    heard = set()
    for end in waiting:
        end.file.readline()
        heard.add(end.file.readline())
    if heard != {f"{n}\n".encode() for n in range(len(waiting))}:
        raise Failed(f"of {len(waiting)} streams at once these were heard: {heard}", net.subject)
    for end in streams + waiting:
        end.close()
    return f"{len(waiting)} at once"


def _forward(net, ours, theirs):
    """Streams are carried to a server of the program's."""
    server = socket.create_server((net.web.ip, 0))
    server.settimeout(60)
    port = server.getsockname()[1]

    def serve():
        end, _ = server.accept()
        with end, end.makefile("rb") as file:
            file.readline()  # who calls
            end.sendall(file.readline())

    thread = threading.Thread(target=serve)
    thread.start()
    with Socket(net.subject.ip) as forward:
        forward.ok(f"STREAM FORWARD ID=one PORT={port} HOST={net.web.ip}")
        with _retry(net, "forward", lambda: theirs.connect(ours.destination)) as stream:
            echo = stream.ask("echo")
    thread.join()
    if echo != "echo":
        raise Failed(f"a forwarded stream brought back {echo!r}", net.subject)
    return "forwarded"


def _primary(net, theirs):
    """Parts of one session take streams and datagrams at one destination."""
    primary = Session(net.subject.ip, "primary", style="PRIMARY", version="3.3")
    end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    end.bind((net.web.ip, 0))
    end.settimeout(3)
    primary.control.ok("SESSION ADD STYLE=STREAM ID=streams")
    primary.control.ok(f"SESSION ADD STYLE=DATAGRAM ID=datagrams PORT={end.getsockname()[1]} HOST={net.web.ip}")
    with Socket(net.subject.ip, "3.3") as waiting:
        waiting.ok("STREAM ACCEPT ID=streams")
        with _retry(net, "primary", lambda: theirs.connect(primary.destination)) as stream:
            stream.socket.sendall(b"to the part\n")
            who, said = waiting.file.readline().split()[0].decode(), waiting.file.readline()
    if who != theirs.destination or said != b"to the part\n":
        raise Failed(f"a part of a primary session heard {said!r}", net.subject)
    sender = Session(net.partner.ip, "sender", style="DATAGRAM")
    for _ in range(40):
        sender.send(primary.destination, b"datagram")
        try:
            head, _, data = end.recvfrom(65536)[0].partition(b"\n")
        except TimeoutError:
            continue
        if head.split()[0].decode() != sender.destination or data != b"datagram":
            raise Failed(f"a part of a primary session got {data!r}", net.subject)
        for session in (primary, sender):
            session.close()
        return "primary session"
    raise Failed("no datagram came for a part of a primary session", net.subject, net.partner)


def _mistakes(net):
    """Both servers are asked the same; they must agree in what their programs read."""
    wrong = []
    for line, instead in _MISTAKES:
        said = []
        for host in (net.subject.ip, net.partner.ip):
            with Socket(host) as end:
                said.append(" ".join(end.ask(line).split()[:3]))
        if said[0] != (instead or said[1]):
            wrong.append(f"{line[:50]}: Ramson says {said[0]!r}, i2pd {said[1]!r}")
    with Socket(net.subject.ip, hello=False) as page:
        if page.ask("POST / HTTP/1.1\r\n\r\nHELLO VERSION"):
            wrong.append("a web page was answered")
    if wrong:
        raise Failed("; ".join(wrong), net.subject)
    return f"{len(_MISTAKES)} mistakes answered"


def _end(net, ours):
    """A session leaves nothing behind."""
    ours.close()
    again = eventually(60, lambda: _session(net.subject.ip), 1)
    if not again:
        raise Failed("the ID is not free after its socket was closed", net.subject)
    if again.destination == ours.destination:
        raise Failed("a transient destination came twice", net.subject)
    again.close()
    return "ended"
