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
    introduced,
    introduced_java,
    introduced_to_i2pd,
    introducing,
    ipv6_participant,
    ipv6_sessions,
    java_neighbour,
    mixed_participant,
    nat,
    one_to_one,
    own_tunnels,
    participant,
    participant_i2pd,
    port_forward,
    rebinding,
    rebinding_i2pd,
    reseed,
    sessions,
    siege,
    soak,
    ssu2_endpoint,
    ssu2_gateway,
    ssu2_hostile,
    ssu2_ipv6_participant,
    ssu2_ipv6_sessions,
    ssu2_java,
    ssu2_lossy,
    ssu2_participant,
    ssu2_sessions,
    streams_broken,
    streams_i2pd,
    streams_java,
)

ALL = (
    sessions,
    participant,
    participant_i2pd,
    endpoint,
    gateway,
    java_neighbour,
    own_tunnels,
    ipv6_sessions,
    ipv6_participant,
    ssu2_sessions,
    ssu2_participant,
    ssu2_endpoint,
    ssu2_gateway,
    ssu2_hostile,
    ssu2_java,
    ssu2_lossy,
    ssu2_ipv6_sessions,
    ssu2_ipv6_participant,
    mixed_participant,
    nat,
    introduced,
    rebinding,
    introducing,
    rebinding_i2pd,
    introduced_to_i2pd,
    introduced_java,
    one_to_one,
    port_forward,
    hostile,
    siege,
    floodfill,
    reseed,
    streams_i2pd,
    streams_broken,
    streams_java,
    soak,
)


def name(case):
    """As it is called on the command line."""
    return case.__name__.rsplit(".", 1)[1].replace("_", "-")
