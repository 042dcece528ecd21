"""What peers have to say of the router under test, when they say it: their logs and their bans.

A healthy session leaves no trace in a log at `warn`. So any line that names the router is a complaint unless it is known
to be harmless, and some lines are complaints even though they do not name the peer.
"""

import re

from .java import JavaRouter

# Nobody's fault, and seen among i2pd and Java alone.
_HARMLESS = re.compile(
    r"connect(ion)? (error|refused)|Connection refused|Connect timeout"  # it was down: before it started, or killed by a case
    r"|[Nn]o route to host|unreachable"  # it could not be called: a case forbade it
    r"|[Rr]ead error|Connection reset|End of file|Broken pipe"  # it was killed by a case
    r"|already exists|Old connection closed"  # both called at once
    r"|banlisted peer|peer is banned",  # what follows from a ban; those that last are asked for
)

# i2pd names no peer in these. Its lines about SSU2 are about others: the router under test has none.
_NAMELESS = re.compile(
    r"^(?!.*SSU2: ).*(?:AEAD|MAC check|verification failed|[Mm]alformed|Unexpected (message|block|frame)|banned IP|invalid or banned"
    r"|[Ww]rong (network|netid|net id)|clock skew|time difference|[Ss]ignature"
    r"|length .* (exceeds|too (long|short|big))|Unknown block)",
)


def about(subject, peers):
    """Complaints of `peers` about `subject`, as (peer, line)."""
    name = subject.hash()
    # Routers abbreviate hashes; four characters of base 64 could be in any line, six hardly are.
    mentions = re.compile(rf"\b{re.escape(subject.ip)}\b|{re.escape(name[:6])}")
    found = []
    for peer in peers:
        if isinstance(peer, JavaRouter):
            found += [(peer, f"banned: {why}") for who, why in peer.bans() if who == name]
        for line in peer.log_lines():
            named = mentions.search(line) and re.search(r"warn|error|WARN|ERROR|CRIT", line)
            nameless = not isinstance(peer, JavaRouter) and _NAMELESS.search(line)
            if (named or nameless) and not _HARMLESS.search(line):
                found.append((peer, line.strip()))
    return found
