"""Clients, irssi among them, speak with ngIRCd through Ramson's filter and i2pd, and others through i2pd with one behind Ramson, which knows them by name."""

import os
import socket
import time

from .. import irssi
from ..applications import IRC, PARTNER_IRC, Applications
from ..outcome import Failed, Skipped

NEEDS_RAMSON = True
NETWORK = Applications
_IDLE = 8  # seconds; irssi waits for two
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
    if not irssi.installed():
        return "a visitor known by his destination, two clients in a channel, no DCC or VERSION through the filter; no irssi here"
    for ip, port, nick in ((net.subject.ip, IRC, "behind"), (net.partner.ip, PARTNER_IRC, "guest")):
        _speak_by_irssi(net, ip, port, nick, visitor)
    return "a visitor known by his destination, two clients and irssi each way in a channel, no DCC or VERSION through the filter"


def _speak_by_irssi(net, ip, port, nick, other):
    """irssi joins the channel where `other` is, and answers whoever asks for its version, if the question comes to it."""
    user, routers = irssi.Irssi(os.path.join(net.dir, f"irssi-{nick}"), (ip, port), nick), (net.subject, net.partner)
    try:
        user.must_see("welcome", _LIMIT, *routers)
        user.say("/join #lab")
        other.ask("", f"{nick}!")
        user.say("hello from irssi")
        other.ask("", "hello from irssi")
        user.say("/me waves")
        other.ask("", "\x01ACTION waves\x01")
        user.say("/dcc chat visitor")
        other.say(f"PRIVMSG {nick} :\x01VERSION\x01")
        # In the channel, since what is for him alone irssi shows in a window of its own.
        other.say("PRIVMSG #lab :are you there")
        user.must_see("are you there", 60, *routers)
        # What irssi has to say of itself has gone out before this, if it goes out.
        user.say("/msg visitor that was all")
        heard, filtered = other.ask("", "that was all"), port == IRC
        # Answers about itself irssi gives when it has nothing else to say for a while.
        if filtered:
            time.sleep(_IDLE)
            heard += other.ask("PING now", "PONG")
        elif "VERSION" not in heard:
            heard += other.ask("", "VERSION")
        if filtered and any(word in heard for word in ("DCC", "VERSION")):
            raise Failed(f"through Ramson's filter came {heard}", net.subject)
        # That it says both without a filter shows that the filter has kept it.
        if not filtered and not ("VERSION" in heard and "DCC" in heard):
            raise Failed(f"irssi did not say what it is: {heard}", *routers)
        user.say("/quit with these words")
        heard = other.ask("", "QUIT")
        if filtered and "these words" in heard:
            raise Failed(f"words at the end came through Ramson's filter: {heard}", net.subject)
    finally:
        user.stop()


class _Client:
    """A client without comfort, behind a tunnel at `ip` and `port`."""

    def __init__(self, net, ip, port, nick):
        self._net, self._nick, self._heard = net, nick, ""
        end = time.monotonic() + _LIMIT
        while True:
            try:
                self._socket = socket.create_connection((ip, port), timeout=20)
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
