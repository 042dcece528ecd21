"""What peers have to say of the routers under test: their logs and their bans.

A healthy session leaves no trace in a log at `warn`. So any line that names the router is a complaint unless it is known
to be harmless, and some lines are complaints even though they do not name the peer.
"""

import re

from .java import JavaRouter

# Nobody's fault, and seen among i2pd and Java alone.
_HARMLESS = re.compile(
    r"connect(ion)? (error|refused)|error connecting|Connect(ion)? (refused|timeout)"  # it was down: at first, or killed by a case
    r"|was not established after"  # the same over UDP, where nobody refuses; that sessions come about, a case sees for itself
    r"|[Nn]o route to host|unreachable"  # it could not be called: a case forbade it
    r"|[Rr]ead error|Connection reset|End of file|Broken pipe"  # it was killed by a case
    r"|adjusted clock by -?\d{1,3}ms"  # by the fraction of a second that the field has no room for
    r"|no more to choose from"  # who it would have test an address is connected with that already, and says so
    r"|Picked IPv6-only peer"  # Java would rather not, but it did
    r"|already exists|Old connection closed"  # both called at once
    # A new router is known to nobody until its clock is confirmed and it has published itself: it is looked for in vain.
    r"|NetDbReq: (No more floodfills for|Destination \S+ is requested already)"
    r"|banlisted peer|peer is banned",  # what follows from a ban; those that last are asked for
)

# i2pd names no peer in these. Those of SSU2 could be about any other peer, for the others speak it too; Garlic is a test
# of a tunnel that came back after its key was forgotten.
_NAMELESS = re.compile(
    r"^(?!.*(?:SSU2|Garlic): ).*(?:AEAD|MAC check|verification failed|[Mm]alformed|Unexpected (?:message|block|frame)"
    r"|banned IP|[Ww]rong (?:network|netid|net id)|clock skew|time difference|[Ss]ignature"
    r"|length .* (?:exceeds|too (?:long|short|big))|Unknown block)",
)


def about(subjects, peers):
    """Complaints of `peers` about `subjects`, as (peer, line)."""
    names = [subject.hash() for subject in subjects]
    # Routers abbreviate hashes; four characters of base 64 could be in any line, six hardly are.
    marks = [rf"\b{re.escape(subject.address)}\b" for subject in subjects] + [re.escape(name[:6]) for name in names]
    mentions = re.compile("|".join(marks))
    found = []
    for peer in peers:
        if isinstance(peer, JavaRouter):
            found += [(peer, f"banned {who[:6]}: {why}") for who, why in peer.bans() if who in names]
        for line in peer.log_lines():
            named = mentions.search(line) and re.search(r"warn|error|WARN|ERROR|CRIT", line)
            nameless = not isinstance(peer, JavaRouter) and _NAMELESS.search(line)
            if (named or nameless) and not _HARMLESS.search(line):
                found.append((peer, line.strip()))
    return found
