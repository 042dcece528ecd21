"""A program that wants a terminal, and what it shows there."""

import os
import pty
import select
import subprocess
import time

from .outcome import Failed


class Terminal:
    """Runs a command with these variables beside ours."""

    def __init__(self, command, environment):
        self._ours, theirs = pty.openpty()
        streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
        environment = os.environ | {"TERM": "vt100", "LANG": "C"} | environment
        self._process = subprocess.Popen(command, env=environment, start_new_session=True, close_fds=True, **streams)
        os.close(theirs)
        self.name, self._shown = command[0], ""

    def type(self, text):
        """As a user would."""
        os.write(self._ours, text.encode())

    def sees(self, text, limit):
        """Whether this is shown within so many seconds, and nothing before it is looked at again."""
        end = time.monotonic() + limit
        while text not in self._shown and time.monotonic() < end:
            if select.select([self._ours], [], [], 0.2)[0]:
                try:
                    self._shown += os.read(self._ours, 65536).decode("utf-8", "replace")
                except OSError:
                    break  # it has ended
        found = self._shown.find(text)
        if found >= 0:
            self._shown = self._shown[found + len(text) :]
        return found >= 0

    def must_see(self, text, limit, *routers):
        """The same, or the case fails."""
        if not self.sees(text, limit):
            raise Failed(f"{self.name} does not show {text!r}: {self._shown[-600:]!r}", *routers)

    def stop(self):
        """Ends it."""
        self._process.kill()
        self._process.wait()
        os.close(self._ours)
