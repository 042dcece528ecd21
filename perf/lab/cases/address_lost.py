"""A published address stops working: Ramson says so within minutes and is introduced; it works again, and so does Ramson."""

from ..outcome import Failed, eventually
from ..reached import ReachedNetwork

NEEDS_RAMSON = True
SLOW = True
_WITHIN = 480  # seconds: nobody calls for four minutes, then two tests must agree
_AGAIN = 480


class NETWORK(ReachedNetwork):
    """The subject behind a NAT that forwards all."""

    name = "address-lost"

    def place(self, subject):
        subject.hide(forwards="all")


def run(net):
    subject = net.subject
    subject.start()
    net.until_published()
    begin = net.uptime()
    subject.nat.forward(None)
    if not eventually(_WITHIN, lambda: not subject.is_published()):
        raise Failed("nobody reaches it any more, and it says that they do", subject, *net.bobs)
    lost = net.uptime() - begin
    if not eventually(120, subject.has_introducers):
        raise Failed("it is hidden now, and nobody introduces it", subject, *net.bobs)
    begin = net.uptime()
    subject.nat.forward("all")
    if not eventually(_AGAIN, subject.is_published):
        raise Failed("it can be reached again, and does not say so", subject, *net.bobs)
    return f"unpublished after {lost:.0f} s, introduced, published again after {net.uptime() - begin:.0f} s"
