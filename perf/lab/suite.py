"""Runs cases, and says of each one line: `ok|FAIL|skip  name  seconds  facts`."""

import argparse
import collections
import os
import sys
import time
import traceback
from dataclasses import dataclass

from . import cases, sandbox
from .download import Corrupt
from .outcome import Failed, Skipped
from .router import peers_folder

_TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_TAIL = 20  # lines of each log that are shown after a failure


@dataclass(frozen=True)
class Lab:
    """What every network and case must know of this run."""

    work: str  # the folder of all routers
    peers: str  # what peers-fetch brought
    ramson: str | None  # the binary under test; without one an i2pd stands in
    hostile: str | None  # the hostile-peer tool, if it is built
    link: str | None  # the tool that makes links bad, if it is built
    quick: bool
    seconds: int | None  # how long to soak, if told
    i2cp_echo: str | None = None  # the example that echoes datagrams by I2CP, if it is built
    i2cp_meta: str | None = None  # the one for which others stand


def main():
    options = _options()
    if options.list:
        for case in cases.ALL:
            print(f"{cases.name(case):18} {case.__doc__.splitlines()[0]}")
        return 0
    chosen = _chosen(options.cases)
    lab = _lab(options, sandbox.enter_in(options.keep, "ramson-interop-"))
    return Suite(lab, options.claims).run(chosen)


def _options():
    parser = argparse.ArgumentParser(prog="interop", description="Ramson among i2pd and Java I2P, on this machine alone.")
    parser.add_argument("cases", nargs="*", metavar="CASE", help="cases to run; all without any")
    parser.add_argument("--list", action="store_true", help="name the cases and end")
    parser.add_argument("--quick", action="store_true", help="smaller files and shorter waits, for every commit")
    parser.add_argument("--keep", metavar="DIR", help="keep the folders of all routers there; it is emptied first")
    parser.add_argument("--ramson", metavar="PATH", help="the binary under test; default: target/release, then target/debug")
    parser.add_argument("--stand-in", choices=["i2pd"], help="test the laboratory: an i2pd in Ramson's place")
    parser.add_argument("--claims", metavar="DIR", help="an empty folder that runs beside each other share: each takes networks that no other has")
    parser.add_argument("--seconds", type=int, help="how long to soak")
    return parser.parse_args()


def _too_slow(case, of):
    """Whether a run of these options, or a lab of it, leaves the case out."""
    return of.quick and getattr(case, "SLOW", False)


def _chosen(names):
    known = {cases.name(case): case for case in cases.ALL}
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"no case {', '.join(unknown)}; there are {', '.join(known)}")
    return [case for name, case in known.items() if not names or name in names]


def _lab(options, work):
    ramson = None
    if not options.stand_in:
        ramson = options.ramson or _built("ramson")
        if not ramson or not os.access(ramson, os.X_OK):
            sys.exit(f"no binary at {ramson or 'target/release/ramson'}: build it, or name it with --ramson")
        ramson = os.path.abspath(ramson)
    return Lab(
        work=work,
        peers=peers_folder(),
        ramson=ramson,
        hostile=_built("ramson-hostile", beside=ramson),
        link=_built("ramson-link", beside=ramson),
        i2cp_echo=_built(os.path.join("examples", "i2cp_echo"), beside=ramson),
        i2cp_meta=_built(os.path.join("examples", "i2cp_meta"), beside=ramson),
        quick=options.quick,
        seconds=options.seconds,
    )


def _built(name, beside=None):
    folders = [os.path.join(_TOP, "target", profile) for profile in ("release", "debug")]
    if beside:
        folders.insert(0, os.path.dirname(beside))
    paths = (os.path.join(folder, name) for folder in folders)
    return next((path for path in paths if os.access(path, os.X_OK)), None)


class Suite:
    """Runs cases network by network, and counts."""

    def __init__(self, lab, claims=None):
        self._lab, self._claims = lab, claims
        self._counts = collections.Counter()

    def run(self, chosen):
        """Runs them, and returns the exit status."""
        networks = {case.NETWORK: [c for c in chosen if c.NETWORK is case.NETWORK] for case in chosen}
        # Those with the most cases first: who runs beside others is not to begin one when they have ended.
        order = sorted(networks.items(), key=lambda network: -len(network[1])) if self._claims else networks.items()
        for topology, members in order:
            if not self._claim(cases.name(members[0])):
                continue
            able = [case for case in members if self._able(case)]
            if able:
                self._in_network(topology, able)
        print(f"{self._counts['ok']} passed, {self._counts['FAIL']} failed", flush=True)
        return 1 if self._counts["FAIL"] else 0

    def _claim(self, name):
        """Whether the network of this case is ours to start."""
        if not self._claims:
            return True
        try:
            os.close(os.open(os.path.join(self._claims, name), os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True

    def _able(self, case):
        if _too_slow(case, self._lab):
            self._line("skip", case, 0, "too slow for --quick")
            return False
        if self._lab.ramson or not getattr(case, "NEEDS_RAMSON", False):
            return True
        self._line("skip", case, 0, "only Ramson itself can answer, not a stand-in")
        return False

    def _in_network(self, topology, members):
        begin = time.monotonic()
        try:
            net = topology(self._lab)
        except Skipped as e:
            for case in members:
                self._line("skip", case, 0, e)
            return
        try:
            net.boot()
        except Exception as e:  # whatever it is, it ends this network, not the suite
            for case in members:
                self._line("FAIL", case, time.monotonic() - begin, f"the network did not start: {e}")
            self._explain(e, getattr(e, "routers", ()))
        else:
            for case in members:
                self._revive(net)
                self._one(case, net)
        finally:
            net.stop()

    @staticmethod
    def _revive(net):
        """Starts peers again that have died; says whether there was one."""
        fallen = net.revive()
        for router in fallen:
            print(f"      {router} had ended with a signal or an error, and is started again", flush=True)
        return bool(fallen)

    def _one(self, case, net, again=False):
        begin = time.monotonic()
        try:
            facts = case.run(net)
            self._examine(net)
        except Skipped as e:
            self._line("skip", case, time.monotonic() - begin, e)
        except Exception as e:  # the next case shall have its turn
            # Who died is no judge: i2pd does now and then. A router under test that died is not started again.
            if not again and self._revive(net):
                self._one(case, net, again=True)
                return
            self._line("FAIL", case, time.monotonic() - begin, e if isinstance(e, (Failed, Corrupt)) else repr(e))
            self._explain(e, getattr(e, "routers", None) or net.subjects())
        else:
            self._line("ok", case, time.monotonic() - begin, facts)

    @staticmethod
    def _examine(net):
        """What no case allows: a router under test that died or panicked."""
        for router in net.subjects():
            if router.died():
                raise Failed(f"{router} ended with {router.process.poll()}", router)
            panic = next((line for line in router.log_lines() if "panicked at" in line), None)
            if panic:
                raise Failed(f"{router}: {panic}", router)

    def _line(self, verdict, case, seconds, facts):
        self._counts[verdict] += 1
        print(f"{verdict:4}  {cases.name(case):18} {seconds:6.1f} s  {facts}", flush=True)

    def _explain(self, error, routers):
        if not isinstance(error, (Failed, Corrupt)):
            print("".join(f"    {line}" for line in traceback.format_exception(error)), flush=True)
        for router in dict.fromkeys(routers):
            state = "runs" if router.alive() else f"ended with {router.process.poll()}" if router.died() else "not started"
            print(f"    --- {router} at {router.address}, {state}")
            for line in [*_state(router), *collections.deque(router.log_lines(), _TAIL)]:
                print(f"    {line[:300]}")
        sys.stdout.flush()


def _state(router):
    try:
        return list(router.state()) if router.alive() else []
    except OSError as e:
        return [f"it does not answer: {e}"]
