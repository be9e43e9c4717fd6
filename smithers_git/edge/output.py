"""The sole home of standard output and standard error: lines, tables and the one JSON document.

Results go to stdout, everything else (progress, notes, errors) to stderr, so that `smithers … --json | jq` works.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TextIO


def emit(text: str = "") -> None:
    """A line of the result."""
    _write(sys.stdout, text + "\n")


def note(text: str) -> None:
    """A line for the person, never part of the result."""
    _write(sys.stderr, text + "\n")


def document(value: Any) -> None:
    """The result as exactly one JSON document."""
    import json  # 4 ms that `smithers --help` does without

    _write(sys.stdout, json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except UnicodeEncodeError:  # a terminal in the C locale
        stream.write(text.encode(stream.encoding or "ascii", "replace").decode(stream.encoding or "ascii"))
        stream.flush()
    except OSError as error:
        # EPIPE: `smithers logs | head`. EIO: the terminal was closed, and the run must still end in good order.
        if error.errno not in (errno.EPIPE, errno.EIO):
            raise
        _reader_left(stream)


_left: list[TextIO] = []


def _reader_left(stream: TextIO) -> None:
    # Python would complain again at exit.
    _left.append(stream)
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def unread() -> bool:
    """Whether nobody reads the result any more: what follows a run may stop."""
    return sys.stdout in _left


def is_terminal() -> bool:
    """Whether a person sees the result and can answer."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def colored() -> bool:
    """Whether stdout takes colour: a terminal, without NO_COLOR and TERM=dumb."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


_STYLES = {"green": "32", "red": "31", "yellow": "33", "blue": "34", "dim": "2", "bold": "1"}


def paint(text: str, style: str) -> str:
    """`text` in a colour, where stdout takes one."""
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if colored() and style in _STYLES else text


def _size(otherwise: tuple[int, int]) -> os.terminal_size:
    from shutil import get_terminal_size  # 5 ms that `smithers --help` does without

    return get_terminal_size(otherwise)


def columns() -> int:
    """Width of the terminal; 120 where there is none, so that a program reads whole lines."""
    return _size((120, 24)).columns if sys.stdout.isatty() else 120


def clip(text: str, width: int) -> str:
    """`text` in one line of at most `width` characters."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: max(0, width - 1)] + "…"


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    styles: Sequence[Mapping[int, str]] = (),
) -> None:
    """Rows in columns; the last one is cut so that lines fit the terminal.

    `styles` has, for each row, column to style.
    """
    if not rows:
        return
    cells = [list(heads), *([str(cell) for cell in row] for row in rows)]
    last = len(heads) - 1
    widths = [max(len(row[i]) for row in cells) for i in range(len(heads))]
    others = sum(width + 2 for width in widths[:last])
    widths[last] = max(8, min(widths[last], columns() - others))
    colors = [dict.fromkeys(range(len(heads)), "dim"), *styles, *[{}] * (len(rows) - len(styles))]
    for row, style in zip(cells, colors, strict=True):
        padded = [clip(cell, widths[i]).ljust(widths[i] if i < last else 0) for i, cell in enumerate(row)]
        emit("  ".join(paint(cell, style.get(i, "")) for i, cell in enumerate(padded)).rstrip())


def binary(data: bytes) -> None:
    """Bytes of a file as the result, unchanged."""
    sys.stdout.flush()
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        _reader_left(sys.stdout)


def page(text: str) -> None:
    """A long result: through the user's pager on a terminal that it does not fit, else as it is."""
    if is_terminal() and text.count("\n") >= _size((80, 24)).lines:
        import click

        click.echo_via_pager(text, color=colored())
    else:
        emit(text.removesuffix("\n"))
