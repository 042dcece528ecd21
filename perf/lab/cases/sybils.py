"""A thousand routers of one network that swallow what they get: our own builds, those of others through us and their downloads go on."""

import time
from concurrent.futures import ThreadPoolExecutor

from ..download import Stream
from ..outcome import Failed, Skipped
from ..relay import PublicRelayNetwork as NETWORK
from ..sam import Refused, Session
from . import hostile

NEEDS_RAMSON = True
_MODE = "sybils-for-minutes"
_CALLING = 25  # seconds until the crowd is there
_SHARE, _QUICK_SHARE = 0.95, 0.9  # of builds: the first of them meet the crowd before it is known for what it is
_SESSIONS, _QUICK_SESSIONS = 32, 16  # destinations that are opened during the siege, with four tunnels each
_HOST = 100


def run(net):
    tool, router = net.lab.hostile, net.subject
    if not tool:
        raise Skipped("no ramson-hostile is built")
    net.warm("participant", net.PLAIN, router)
    calm = _builds_for_sessions(net, "calm", 2)
    stream = Stream(net.client.ip, net.PLAIN, net.server.name_of("participant"), net.web.file(2_000_000), pause=0.5)
    try:
        before = router.metrics()
        with hostile.offender(router, tool, _MODE, _HOST) as process:
            time.sleep(_CALLING)
            if process.poll() is not None:
                raise Failed(f"the crowd has ended: {process.stdout.read()}", router)
            stood = router.metrics().total("ramson_sessions", transport="ntcp2", direction="in")
            builds = _builds_for_sessions(net, "siege", _QUICK_SESSIONS if net.lab.quick else _SESSIONS)
            after = router.metrics()
    finally:
        stream.stop()
    return _judge(net, (calm, builds), (before, after), stood, stream)


def _builds_for_sessions(net, name, count):
    """Opens sessions, whose tunnels must be built; how these and all other builds went meanwhile."""
    before = net.subject.builds()
    began = time.monotonic()

    def open_one(n):
        try:
            with Session(net.subject.ip, f"{name}-{n}").control:
                time.sleep(5)
            return ""
        except (Refused, OSError) as e:
            return str(e)

    with ThreadPoolExecutor(4) as pool:
        errors = [error for error in pool.map(open_one, range(count)) if error]
    if errors:
        raise Failed(f"{len(errors)} of {count} sessions do not stand: {errors[0]}", net.subject)
    after = net.subject.builds()
    return {result: n - before.get(result, 0) for result, n in after.items() if n > before.get(result, 0)}, time.monotonic() - began


def _judge(net, builds, metrics, stood, stream):
    (calm, calm_for), (siege, siege_for) = builds
    before, after = metrics
    # Who refuses is honest: the crowd answers nothing.
    share = (siege.get("ok", 0) + siege.get("refused", 0)) / max(1, sum(siege.values()))
    answers = "ramson_build_requests_total"
    through = after.by(answers, "answer") - before.by(answers, "answer")
    refused = after.by("ramson_mailbox_refused_total", "actor") - before.by("ramson_mailbox_refused_total", "actor")
    facts = (
        f"{stood:.0f} sessions with callers; own builds {siege}, {share:.0%} answered, in {siege_for:.0f} s ({calm} in {calm_for:.0f} s before); builds of others "
        f"through it {dict(through)}; downloads {stream.bytes / 1e6:.0f} MB, {stream.broken} broken; full mailboxes {dict(refused) or 'none'}"
    )
    complaints = []
    least = _QUICK_SHARE if net.lab.quick else _SHARE
    if share < least:
        complaints.append("own builds")
    if through.get("refused", 0) > (1 - least) * sum(through.values()):
        complaints.append("builds of others through it")
    if stream.corrupt or stream.bytes == 0 or stream.broken > 1:
        complaints.append("downloads")
    if refused:
        complaints.append("full mailboxes")
    if complaints:
        raise Failed(f"{', '.join(complaints)}: {facts}", net.subject)
    return facts
