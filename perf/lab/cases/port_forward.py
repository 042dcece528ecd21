"""Behind a NAT that calls from other ports and forwards one, Ramson finds that, is called there, and banned by nobody."""

from ..reached import ReachedNetwork, be_reached

NEEDS_RAMSON = True
SLOW = True


class NETWORK(ReachedNetwork):
    """The subject behind such a NAT."""

    name = "port-forward"

    def place(self, subject):
        subject.hide(forwards=subject.port)


def run(net):
    return be_reached(net)
