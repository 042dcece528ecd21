"""SAM and I2CP side by side: what a session costs at Ramson, i2pd and Java I2P, and what its streams and datagrams carry.

    1..6   relays   the hops of all tunnels      10 ramson, 12 i2pd   those whose SAM is asked

Each of the two carries the load of SAM between two of its own sessions, through tunnels of two hops each way: neither hands over to
itself without tunnels. The relays are Ramson, which the loads do not fill; for many sessions they are i2pd, since Ramson takes no
thousands of tunnels of one neighbour. What is asked by I2CP, of Java's router, too, is in `apis_i2cp.py`; Java's SAM is in no public registry.
"""

import argparse
import os
import statistics
import threading
import time

from . import apis_i2cp, sandbox
from .leaves import EndI2pd, EndRamson, WideRamson
from .i2pd import I2pd
from .network import Network
from .options import parse
from .outcome import eventually
from .router import peers_folder
from .sam import PORT, Refused, Session
from .suite import Lab

_BLOCK = os.urandom(1 << 16)
_PATIENCE = 240
_SETUPS = 5
_DATAGRAM = 1000  # bytes
_AT_ONCE = 50  # sessions that are asked for together, when many are


class ApisNetwork(Network):
    """See the module."""

    def __init__(self, lab, name="apis", relay=WideRamson):
        self.name = name
        super().__init__(lab)
        self.relays = [self.add(relay(self, n, floodfill=n <= 3)) for n in range(1, 7)]
        self.asked = {"ramson": self.add(EndRamson(self, 10)), "i2pd": self.add(EndI2pd(self, 12))}
        self.asked["ramson"].sam_port, self.asked["i2pd"].sam = PORT, True


def main():
    options = _options()
    work = sandbox.enter_in(options.keep, "ramson-apis-")
    lab = Lab(work=work, peers=peers_folder(), ramson=options.ramson, hostile=None, link=None, quick=False, seconds=None)
    print(f"{os.cpu_count()} processors for all routers of a run together; 2 hops each way, {time.strftime('%F')}.\n")
    for api in options.apis:
        if api == "sam":
            _table("SAM", lambda: ApisNetwork(lab), _ROWS, options)
            _table("SAM", lambda: ApisNetwork(lab, "apis-many", I2pd), _MANY, options)
        else:
            _table("I2CP", lambda: apis_i2cp.I2cpNetwork(lab, options.routers), apis_i2cp.ROWS, options)
            _table("I2CP", lambda: apis_i2cp.I2cpNetwork(lab, options.routers, "apis-i2cp-many", I2pd), apis_i2cp.MANY, options)
    return 0


def _table(title, network, rows, options):
    chosen = [row for row in rows if not options.only or row.__name__.strip("_") in options.only]
    if not chosen:
        return
    net = network()
    print(f"| {title} | {' | '.join(net.asked)} |")
    print(f"|---|{'--:|' * len(net.asked)}")
    try:
        net.boot()
        for row in chosen:
            cells = [_try(row, router, options) for router in net.asked.values()]
            print(f"| {row.__doc__.splitlines()[0].rstrip('.')} | {' | '.join(cells)} |", flush=True)
    finally:
        net.stop()
    print()


def _options():
    parser = argparse.ArgumentParser(prog="compare apis", description=__doc__.split("\n", 1)[0])
    parser.add_argument("only", nargs="*", metavar="ROW", help="of setup, one_stream, many_streams, datagrams, memory; all without any")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--sessions", type=int, default=1000, help="how many are held at once")
    parser.add_argument("--apis", default="sam,i2cp", help="which of sam and i2cp")
    parser.add_argument("--routers", default="ramson,i2pd,java", help="whose I2CP is asked")
    options = parse(parser)
    options.apis, options.routers = options.apis.split(","), options.routers.split(",")
    return options


def _try(row, router, options):
    try:
        return row(router, options)
    except (Refused, OSError, ValueError, KeyError) as e:
        return f"failed: {str(e)[:80]}"


def _session(router, name, limit=_PATIENCE, **options):
    def attempt():
        try:
            return Session(router.ip, name, **options)
        except Refused:
            return None

    session = eventually(limit, attempt, 1)
    if not session:
        raise Refused("no session")
    return session


def _setup(router, _):
    """Seconds until a session stands, the middle of five."""
    times = []
    _session(router, "first").close()
    for n in range(_SETUPS):
        begun = time.monotonic()
        session = _session(router, f"setup-{n}")
        times.append(time.monotonic() - begun)
        session.close()
    return f"{statistics.median(times):.1f}"


def _streams(router, count, seconds):
    """Megabytes a second through so many streams between two sessions, and CPU-s/GB of the router that is both ends."""
    source, drain = _session(router, f"source-{count}"), _session(router, f"drain-{count}")
    try:
        pairs = []
        for _ in range(count):
            waiting = drain.accept()
            pairs.append((eventually(_PATIENCE, lambda: _connect(source, drain), 2), waiting))
        if not all(stream for stream, _ in pairs):
            raise Refused("no stream")
        for _, waiting in pairs:
            waiting.file.readline()
        before, end, received = router.usage().cpu, time.monotonic() + seconds, [0] * count
        threads = [threading.Thread(target=_write, args=(stream, end)) for stream, _ in pairs]
        threads += [threading.Thread(target=_read, args=(waiting, end, received, n)) for n, (_, waiting) in enumerate(pairs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        size = sum(received)
        cost = (router.usage().cpu - before) / size * 1e9 if size else 0
        for stream, waiting in pairs:
            stream.close()
            waiting.close()
        return f"{size / seconds / 1e6:.2f} MB/s, {cost:.0f} CPU-s/GB"
    finally:
        source.close()
        drain.close()


def _connect(source, drain):
    try:
        return source.connect(drain.destination)
    except Refused:
        return None


def _write(stream, end):
    stream.socket.settimeout(1)
    while time.monotonic() < end:
        try:
            stream.socket.send(_BLOCK)
        except TimeoutError:
            pass
        except OSError:
            return


def _read(waiting, end, received, n):
    waiting.socket.settimeout(0.5)
    while time.monotonic() < end:
        try:
            chunk = waiting.socket.recv(1 << 16)
        except TimeoutError:
            continue
        if not chunk:
            return
        received[n] += len(chunk)


def _one_stream(router, options):
    """One stream."""
    return _streams(router, 1, options.seconds)


def _many_streams(router, options):
    """Twenty streams between two sessions."""
    return _streams(router, 20, options.seconds)


def _datagrams(router, options):
    """Datagrams of 1 kB a second that arrive, of as many as can be sent."""
    source, drain = (_session(router, name, style="DATAGRAM") for name in ("from", "to"))
    try:
        for _ in range(60):
            source.send(drain.destination, b"x" * 100)
            if drain.receive(2):
                break
        else:
            raise Refused("no datagram came")
        end, sent, received = time.monotonic() + options.seconds, [0], [0]
        threads = [threading.Thread(target=_send_datagrams, args=(source, drain.destination, end, sent))]
        threads += [threading.Thread(target=_count_datagrams, args=(drain, end, received))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return f"{received[0] / options.seconds:.0f} of {sent[0] / options.seconds:.0f}"
    finally:
        source.close()
        drain.close()


def _send_datagrams(source, destination, end, sent):
    payload = os.urandom(_DATAGRAM)
    while time.monotonic() < end:
        source.send(destination, payload)
        sent[0] += 1


def _count_datagrams(drain, end, received):
    """By their bytes: what is cut by the end of the time is not waited for."""
    drain.control.socket.settimeout(0.2)
    size = 0
    while time.monotonic() < end:
        try:
            size += len(drain.control.socket.recv(1 << 16))
        except TimeoutError:
            continue
        received[0] = size // (len(drain.destination) + _DATAGRAM + 40)


def _memory(router, options):
    """KiB for each of many sessions with one tunnel of one hop each way, how many stood, and until when."""
    options_of_each = {"inbound.length": 1, "outbound.length": 1, "inbound.quantity": 1, "outbound.quantity": 1}
    _session(router, "first").close()
    before, begun, held, lock = router.usage().rss, time.monotonic(), [], threading.Lock()
    left = list(range(options.sessions))

    def open_some():
        while True:
            with lock:
                if not left or time.monotonic() > begun + apis_i2cp.HOLD:
                    return
                n = left.pop()
            try:
                session = Session(router.ip, f"held-{n}", **options_of_each)
            except (Refused, OSError):
                time.sleep(0.2)
                with lock:
                    left.append(n)
                continue
            with lock:
                held.append(session)

    threads = [threading.Thread(target=open_some) for _ in range(_AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - begun
    each = (router.usage().rss - before) / max(len(held), 1) / 1024
    for session in held:
        session.close()
    return f"{each:.0f} KiB, {len(held)} in {took:.0f} s"


_ROWS = (_setup, _one_stream, _many_streams, _datagrams)
_MANY = (_memory,)
