"""What one run needs on disk while it starts: its standard input, and two FIFOs to hear from it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


class Scratch:
    """A private temporary folder; gone as soon as the program has opened what is in it.

    FIFOs, because a pipe cannot be handed through pexpect. Their reading ends are open, not blocking, and end when
    the reaper (`status`) or the whole tree (`stderr`) has ended.

    Raises:
        OSError: the folder cannot be made or is full.
    """

    def __init__(self, stdin: bytes | None, *, stderr: bool) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="smithers-")
        self.options: list[str] = []
        """For the reaper's command line."""
        self._open: list[int] = []
        try:
            if stdin is not None:
                path = Path(self._folder.name, "stdin")
                path.write_bytes(stdin)
                self.options += ["--stdin", str(path)]
            self.status = self._fifo("status")
            self.stderr = self._fifo("stderr") if stderr else None
        except OSError:
            self.close()
            raise

    def _fifo(self, name: str) -> int:
        path = Path(self._folder.name, name)
        os.mkfifo(path, 0o600)
        self._open.append(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        self.options += [f"--{name}", str(path)]
        return self._open[-1]

    def remove(self) -> None:
        """Remove the folder; what is open stays usable. A second time does nothing."""
        self._folder.cleanup()

    def close(self) -> None:
        """Close and remove all."""
        while self._open:
            os.close(self._open.pop())
        self.remove()
