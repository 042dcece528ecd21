"""On a machine with two addresses Ramson is called at the one that it publishes, answers and calls from it, and is banned by nobody."""

from ..ramson import FoundRamson
from ..reached import ReachedNetwork, be_reached

NEEDS_RAMSON = True
SLOW = True


class SecondAddress(FoundRamson):
    """It listens everywhere, and publishes the address that the kernel would not call from."""

    @property
    def publish(self):
        return self.endpoint


class NETWORK(ReachedNetwork):
    """The subject on such a machine."""

    name = "two-addresses"
    subject_kind = SecondAddress

    def place(self, subject):
        # The kernel calls from the first address of an interface.
        for command in (
            f"ip addr del {subject.ip}/8 dev eth0",
            f"ip addr add 10.{subject.n}.0.99/8 dev eth0",
            f"ip addr add {subject.ip}/8 dev eth0",
        ):
            subject.run(command)


def run(net):
    return be_reached(net)
