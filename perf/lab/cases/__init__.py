"""The cases, in the order in which they run: those of one network together, the shared one first.

A case is a module. The first line of its documentation says what must be true; `NETWORK` is the topology that it needs;
`run(net)` returns a line of facts, or raises `Failed`, `Skipped` or `Corrupt`. `NEEDS_RAMSON` marks what only
Ramson's own metrics can answer.
"""

from . import (
    endpoint,
    floodfill,
    gateway,
    hostile,
    java_neighbour,
    own_tunnels,
    participant,
    participant_i2pd,
    sessions,
    soak,
)

ALL = (
    sessions,
    participant,
    participant_i2pd,
    endpoint,
    gateway,
    java_neighbour,
    own_tunnels,
    hostile,
    floodfill,
    soak,
)


def name(case):
    """As it is called on the command line."""
    return case.__name__.rsplit(".", 1)[1].replace("_", "-")
