"""The standard input of a program that is talked with."""

from __future__ import annotations

import os


class Inlet:
    """The writing end of a pipe. Writing never waits: what the pipe does not take is kept until it does.

    A program that has closed its input, or has ended, loses what is written to it; that is no error here.
    """

    def __init__(self, fd: int) -> None:
        self._fd: int | None = fd
        self._unsent = bytearray()
        self._ending = False

    @property
    def unsent(self) -> int:
        """Bytes that the program has not taken yet."""
        return len(self._unsent)

    @property
    def open(self) -> bool:
        """Whether something can still be written."""
        return self._fd is not None and not self._ending

    def fileno(self) -> int | None:
        """What to wait on (for writing) before `flush`; None when there is nothing to write."""
        return self._fd if self._unsent else None

    def put(self, data: bytes) -> None:
        """Write `data`, now or later."""
        if self.open:
            self._unsent += data
            self.flush()

    def flush(self) -> None:
        """Write what the pipe takes now."""
        while self._fd is not None and self._unsent:
            try:
                del self._unsent[: os.write(self._fd, self._unsent)]
            except BlockingIOError:
                return
            except BrokenPipeError:
                self.close()
        if self._ending:
            self.close()

    def end(self) -> None:
        """The input ends behind what was put."""
        self._ending = True
        self.flush()

    def close(self) -> None:
        """The input ends here; what was not written is lost. A second time does nothing."""
        self._unsent.clear()
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
