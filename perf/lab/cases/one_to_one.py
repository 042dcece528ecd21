"""Behind a NAT that maps its address one to one, Ramson finds its public address, is called there, and banned by nobody."""

from ..reached import ReachedNetwork, be_reached

NEEDS_RAMSON = True
SLOW = True


class NETWORK(ReachedNetwork):
    """The subject behind such a NAT."""

    name = "one-to-one"

    def place(self, subject):
        subject.hide(forwards="all")


def run(net):
    return be_reached(net)
