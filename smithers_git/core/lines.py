"""Bytes from a process, in pieces of any size, as whole lines of bounded length."""

from __future__ import annotations

import re

MAX_LINE = 16 * 1024 * 1024

# CSI (cursor, colour, modes), OSC (titles, links; ends with BEL or ST) and the two-byte escapes.
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)?|\x1b[@-Z\\^_=>]")


def strip_escapes(text: str) -> str:
    """`text` without terminal escape sequences."""
    return _ESCAPES.sub("", text) if "\x1b" in text else text


class Lines:
    """Splits a stream into lines. A line longer than `limit` bytes is dropped and counted in `dropped`."""

    def __init__(self, limit: int = MAX_LINE) -> None:
        self.limit = limit
        self.dropped = 0
        self._line = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> list[str]:
        """The lines that `data` completes, without their ends and without empty ones; bad UTF-8 is replaced."""
        *ended, rest = data.split(b"\n")
        lines = [line for piece in ended for line in self._end(piece)]
        self._keep(rest)
        return lines

    def flush(self) -> list[str]:
        """The last line when the stream ended without a line end."""
        return self._end(b"")

    def _end(self, piece: bytes) -> list[str]:
        self._keep(piece)
        line = self._line.decode("utf-8", "replace").rstrip("\r")
        self.dropped += self._skipping
        self._line, self._skipping = bytearray(), False
        return [line] if line else []

    def _keep(self, piece: bytes) -> None:
        if len(self._line) + len(piece) > self.limit:
            self._line, self._skipping = bytearray(), True
        elif not self._skipping:
            self._line += piece
