"""txi2p of Twisted: `take` prints a destination and echoes what comes, `call DESTINATION SIZE` sends bytes and wants them back."""

import os
import sys

from twisted.internet import endpoints, protocol, reactor
from txi2p.sam.endpoints import SAMI2PStreamClientEndpoint, SAMI2PStreamServerEndpoint

OPTIONS = {"inbound.length": 2, "outbound.length": 2, "inbound.quantity": 2, "outbound.quantity": 2}
SAM = endpoints.clientFromString(reactor, "tcp:127.0.0.1:7656")


class Echo(protocol.Protocol):
    def dataReceived(self, data):
        self.transport.write(data)


class Caller(protocol.Protocol):
    def __init__(self, size):
        self.sent, self.got = os.urandom(size), b""

    def connectionMade(self):
        self.transport.write(self.sent)

    def dataReceived(self, data):
        self.got += data
        if len(self.got) >= len(self.sent):
            print("ok" if self.got == self.sent else "other bytes", flush=True)
            reactor.stop()


def wrong(failure):
    print(failure, flush=True)
    if reactor.running:
        reactor.stop()


def take():
    endpoint = SAMI2PStreamServerEndpoint.new(SAM, None, nickname="txi2p-take", options=dict(OPTIONS))
    listening = endpoint.listen(protocol.Factory.forProtocol(Echo))
    listening.addCallbacks(lambda port: print("DESTINATION", port.getHost().destination, flush=True), wrong)


def call(destination, size):
    endpoint = SAMI2PStreamClientEndpoint.new(SAM, destination, nickname="txi2p-call", options=dict(OPTIONS))
    endpoint.connect(protocol.Factory.forProtocol(lambda: Caller(size))).addErrback(wrong)


if __name__ == "__main__":
    take() if sys.argv[1] == "take" else call(sys.argv[2], int(sys.argv[3]))
    reactor.run()
