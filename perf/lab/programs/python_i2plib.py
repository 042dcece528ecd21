"""i2plib: `take` prints a destination and echoes what comes, `call DESTINATION SIZE` sends bytes and wants them back."""

import asyncio
import os
import sys

_open = asyncio.open_connection
# i2plib is older than Python 3.10, which knows no `loop` any more.
asyncio.open_connection = lambda *args, loop=None, **more: _open(*args, **more)

import i2plib  # noqa: E402

OPTIONS = {"inbound.length": 2, "outbound.length": 2, "inbound.quantity": 2, "outbound.quantity": 2}


async def take():
    destination = await i2plib.new_destination()
    async with i2plib.Session("i2plib-take", destination=destination, options=OPTIONS):
        print("DESTINATION", destination.base64, flush=True)
        while True:
            async with i2plib.StreamAcceptor("i2plib-take") as stream:
                i2plib.Destination((await stream.reader.readline()).decode().strip())
                while data := await stream.read(65536):
                    stream.write(data)


async def call(destination, size):
    async with i2plib.Session("i2plib-call", options=OPTIONS):
        sent, got = os.urandom(size), b""
        async with i2plib.StreamConnection("i2plib-call", i2plib.Destination(destination)) as stream:
            stream.write(sent)
            while len(got) < size and (data := await stream.read(65536)):
                got += data
        print("ok" if got == sent else "other bytes", flush=True)


if __name__ == "__main__":
    asyncio.run(take() if sys.argv[1] == "take" else call(sys.argv[2], int(sys.argv[3])))
