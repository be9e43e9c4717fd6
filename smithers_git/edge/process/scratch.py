"""What one run needs on disk while it starts: its standard input, and two FIFOs to hear from it."""

from __future__ import annotations

import os
from pathlib import Path

from smithers_git.edge.process import temporary
from smithers_git.edge.process.inlet import Inlet


class Scratch:
    """A private temporary folder; gone as soon as the program has opened what is in it.

    FIFOs, because a pipe cannot be handed through pexpect. Their reading ends are open, not blocking, and end when
    the reaper (`status`) or the whole tree (`stderr`) has ended.

    Args:
        stdin: the whole of the program's standard input; None is nothing.
        stderr: whether standard error is to be heard apart.
        inlet: standard input begins with `stdin` and stays open, to be written to through `inlet`.

    Raises:
        OSError: the folder cannot be made or is full.
    """

    def __init__(self, stdin: bytes | None, *, stderr: bool, inlet: bool = False) -> None:
        self._folder = temporary.folder()
        self.options: list[str] = []
        """For the reaper's command line."""
        self._open: list[int] = []
        self._early: int | None = None
        """Our own reading end of the input: until the program has one, there is nobody else to write to."""
        self.inlet: Inlet | None = None
        try:
            if inlet:
                self._early = self._fifo("stdin")
                self.inlet = Inlet(os.open(Path(self._folder.name, "stdin"), os.O_WRONLY | os.O_NONBLOCK))
                self.inlet.put(stdin or b"")
            elif stdin is not None:
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
        """The program has started: remove the folder; what is open stays usable. A second time does nothing."""
        if self._early is not None:
            self._open.remove(self._early)
            os.close(self._early)
            self._early = None
        self._folder.cleanup()

    def close(self) -> None:
        """Close and remove all."""
        if self.inlet is not None:
            self.inlet.close()
        self.remove()
        while self._open:
            os.close(self._open.pop())
