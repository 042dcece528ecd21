"""irssi, if it is installed: a client of IRC that says of itself what it is asked."""

import os
import shutil

from .terminal import Terminal


def installed():
    """Whether it is."""
    return bool(shutil.which("irssi"))


class Irssi:
    """One that speaks with the server at an address and port, as `nick`; it is ended by `stop`."""

    def __init__(self, folder, place, nick):
        os.makedirs(folder, exist_ok=True)
        ip, port = place
        with open(os.path.join(folder, "config"), "w") as f:
            f.write(f'settings = {{ core = {{ user_name = "lab"; real_name = "lab"; nick = "{nick}"; resolve_prefer_ipv6 = "no"; }}; }};\n')
        command = ["irssi", f"--home={folder}", "-c", ip, "-p", str(port), "-n", nick]
        self.terminal = Terminal(command, {"HOME": folder, "LINES": "40", "COLUMNS": "160"})

    def say(self, line):
        """Types a line, which is a command if it begins with a stroke."""
        self.terminal.type(f"{line}\r")

    def must_see(self, text, limit, *routers):
        """Waits until it shows this."""
        self.terminal.must_see(text, limit, *routers)

    def stop(self):
        """Ends it."""
        self.terminal.stop()
