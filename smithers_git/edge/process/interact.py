"""A program in the person's own terminal, through a pseudo-terminal of ours."""

from __future__ import annotations

import os
import signal
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from smithers_git.edge.process.launch import Exit, Launch, Terminal
from smithers_git.edge.process.runner import begin

if TYPE_CHECKING:
    from smithers_git.edge.process.channel import Screen

ESCAPE: Final = "\x1d"
"""Ctrl-], as telnet has it."""
_IN, _OUT = 0, 1
# What a full-screen program that was ended may have left on: its own screen, mouse, focus and paste reports, a hidden
# cursor, colours. Each is harmless where it is off.
_RESET: Final = b"\x1b[?1049l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1004l\x1b[?2004l\x1b[?25h\x1b[0m"


def interact(launch: Launch) -> Exit:
    """Let the person at our terminal use a program; returns when it has ended, or they typed Ctrl-], and it was ended.

    Its window has the size of ours, and follows it. SIGTERM and SIGHUP end the program, not us. The terminal is as
    before afterwards. Call it from the main thread, with a terminal for standard input and output.
    """
    lines = termios.tcgetattr(_IN)
    columns, rows = os.get_terminal_size(_OUT)
    screen = Terminal(columns=columns, rows=rows, name=launch.env.get("TERM") or "xterm-256color")
    watch = begin(replace(launch, terminal=screen), on_output=_show, cancel=threading.Event())
    if isinstance(watch, Exit):
        return watch
    try:
        with _signals(watch.screen):
            # The terminal may go away, with a SIGHUP: then there is nobody to show anything to.
            with suppress(OSError, termios.error):
                watch.screen.interact(ESCAPE)
            if watch.screen.running():
                watch.stop("cancelled", "left with Ctrl-]")
            watch.follow()
        return watch.result()
    finally:
        watch.close()
        with suppress(OSError, termios.error):
            termios.tcsetattr(_IN, termios.TCSAFLUSH, lines)
            _show(_RESET)


def _show(data: bytes) -> None:
    with suppress(OSError):
        while data:
            data = data[os.write(_OUT, data) :]


@contextmanager
def _signals(screen: Screen) -> Iterator[None]:
    def resize(_number: int, _frame: object) -> None:
        with suppress(OSError):
            columns, rows = os.get_terminal_size(_OUT)
            screen.setwinsize(rows, columns)

    def end(_number: int, _frame: object) -> None:
        screen.ask_to_stop()

    handlers: dict[int, Callable[[int, object], None]] = {
        signal.SIGWINCH: resize,
        signal.SIGTERM: end,
        signal.SIGHUP: end,
    }
    before: dict[int, Any] = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
