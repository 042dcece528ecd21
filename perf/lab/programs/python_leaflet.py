"""leaflet, with version 3.0: `take` prints a destination and echoes what comes, `call DESTINATION SIZE` sends bytes and wants them back."""

import os
import sys

import leaflet
from leaflet.samtools import Dest

OPTIONS = {"inbound.length": 2, "outbound.length": 2, "inbound.quantity": 2, "outbound.quantity": 2}
controller = leaflet.Controller(sam_timeout=240)


def take():
    with controller.create_dest(i2cp=dict(OPTIONS)) as ours:
        print("DESTINATION", ours.base64, flush=True)
        while True:
            stream = ours.register_accept()
            stream.parse_headers()
            while data := stream.recv(65536):
                stream.sendall(data)
            stream.close()


def call(destination, size):
    sent, got = os.urandom(size), b""
    with controller.create_dest(i2cp=dict(OPTIONS)) as ours:
        stream = ours.connect(Dest(destination, "base64"))
        stream.parse_headers()
        stream.sendall(sent)
        while len(got) < size and (data := stream.recv(65536)):
            got += data
    print("ok" if got == sent else "other bytes", flush=True)


if __name__ == "__main__":
    take() if sys.argv[1] == "take" else call(sys.argv[2], int(sys.argv[3]))
