"""How a case ends other than well."""

import time


class Failed(Exception):
    """The routers do not do what they must. Names the routers whose logs tell why."""

    def __init__(self, what, *routers):
        super().__init__(what)
        self.routers = routers


class Skipped(Exception):
    """The case cannot be run here, and says what it lacks."""


def eventually(limit, condition, pause=1.0):
    """Asks until the answer is true, and returns it; the last answer after `limit` seconds. A page that is not up yet is
    an answer too: no."""
    end = time.monotonic() + limit
    while True:
        try:
            answer = condition()
        except OSError:
            answer = None
        if answer or time.monotonic() > end:
            return answer
        time.sleep(pause)
