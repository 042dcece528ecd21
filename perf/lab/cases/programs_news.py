"""slrn posts an article to INN and reads it, each way between Ramson and i2pd."""

import os
import socket

from ..news import GROUP, News, installed, slrn
from ..offices import Offices
from ..outcome import Failed, Skipped, eventually
from ..servers import random_text
from ..terminal import Terminal

NEEDS_RAMSON = True
NETWORK = Offices
_PATIENCE = 60  # seconds; the first one of them looks for names in vain


def run(net):
    if not installed():
        raise Skipped(f"no news: apt-get install --no-install-recommends {News.package}")
    for _, router, _ in net.ways():
        if not eventually(3 * _PATIENCE, lambda place=net.place(router, 119): _is_greeted(place), 2):
            raise Failed("no news server answers", router, net.subject, net.partner)
        _post_and_read(net, router)
    return "an article posted and read, each way"


def _is_greeted(place):
    with socket.create_connection(place, timeout=20) as asked:
        return asked.recv(3) == b"200"


def _post_and_read(net, router):
    folder, word = os.path.join(net.dir, f"slrn-{router.n}"), random_text(12)
    command, variables = slrn(net.place(router, 119), folder)
    with open(os.path.join(folder, "words"), "w") as f:
        f.write(f"these are the words: {word}\n")
    routers = (router, net.subject, net.partner)
    reader = Terminal(command, variables)
    try:
        # A group without articles is not shown.
        reader.must_see("q:Quit", _PATIENCE, *routers)
        reader.type("P")
        reader.must_see("ewsgroup", _PATIENCE, *routers)
        # Instead of what stands there, if a group is pointed at.
        reader.type(f"\x01\x0b{GROUP}\r")
        reader.must_see("ubject", _PATIENCE, *routers)
        reader.type(f"about {router.n}\r")
        reader.must_see("Post the message?", _PATIENCE, *routers)
        reader.type("y")
        reader.must_see("done.", _PATIENCE, *routers)
        # Anew, or it would not look again.
        reader.stop()
        reader = Terminal(command, variables)
        reader.must_see(GROUP, _PATIENCE, *routers)
        reader.type("\r")
        reader.must_see(f"about {router.n}", _PATIENCE, *routers)
        reader.type("\r")
        reader.must_see(word, _PATIENCE, *routers)
    finally:
        reader.stop()
