"""A client speaks with ngIRCd through Ramson's filter and i2pd, and another through i2pd with one behind Ramson, which knows him by name."""

import socket
import time

from ..applications import IRC, PARTNER_IRC, Applications
from ..outcome import Failed, Skipped

NEEDS_RAMSON = True
NETWORK = Applications
_LIMIT = 120  # seconds until the first answer, through tunnels that are being built


def run(net):
    if not net.irc.program:
        raise Skipped("no ngircd: apt-get install ngircd")
    through_filter = _Client(net, net.subject.ip, IRC, "filtered")
    visitor = _Client(net, net.partner.ip, PARTNER_IRC, "visitor")
    whois = visitor.ask("WHOIS visitor", " 318 ")
    if net.partner.name_of("to-irc") not in whois:
        raise Failed(f"the server does not know the visitor by his name: {whois}", net.subject)
    visitor.ask("JOIN #lab", " 366 ")
    through_filter.ask("JOIN #lab", " 366 ")
    through_filter.say("PRIVMSG #lab :\x01DCC SEND f 1 2 3\x01")
    through_filter.say("PRIVMSG #lab :hello")
    heard = visitor.ask("PING end", "PONG")
    heard = heard if "hello" in heard else heard + visitor.ask("", "hello")
    if "DCC" in heard:
        raise Failed(f"a DCC left Ramson's filter: {heard}", net.subject)
    visitor.say("PRIVMSG filtered :\x01VERSION\x01")
    visitor.say("PRIVMSG filtered :good bye")
    heard = through_filter.ask("", "good bye")
    if "VERSION" in heard:
        raise Failed(f"a question for the client's version came through Ramson's filter: {heard}", net.subject)
    whois = visitor.ask("WHOIS filtered", " 318 ")
    if "secretname" in whois:
        raise Failed(f"the server knows the client's machine: {whois}", net.subject)
    return "a visitor known by his destination, two clients in a channel, no DCC or VERSION through the filter"


class _Client:
    """A client without comfort, behind a tunnel at `ip` and `port`."""

    def __init__(self, net, ip, port, nick):
        self._net, self._nick, self._heard = net, nick, ""
        end = time.monotonic() + _LIMIT
        while True:
            self._socket = socket.create_connection((ip, port), timeout=20)
            try:
                self.ask(f"NICK {nick}\r\nUSER {nick} secretname server :{nick}", " 376 ")
                return
            except (OSError, Failed):
                if time.monotonic() > end:
                    raise
                time.sleep(2)

    def say(self, line):
        self._socket.sendall(f"{line}\r\n".encode())

    def ask(self, line, until):
        """Says a line, if it is one, and returns what is heard up to the line with `until` in it."""
        if line:
            self.say(line)
        while until not in self._heard or not self._heard.endswith("\n"):
            part = self._socket.recv(65536).decode("utf-8", "replace")
            if not part:
                raise Failed(f"{self._nick}: the connection ended after {self._heard!r}", self._net.subject, self._net.partner)
            self._heard += part
            for ping in (one for one in part.splitlines() if one.startswith("PING")):
                self.say("PONG" + ping[4:])
        heard, self._heard = self._heard, ""
        return heard
