"""Finding and ending the process trees of a dead engine."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection, Iterable
from functools import cache
from pathlib import Path

from smithers_git.edge.process.reaper import Row, process_row, process_table

_FROZEN_WITHIN = 1.0  # seconds for all to stop; one that waits for a disk does not
_GONE_WITHIN = 5.0  # seconds for the kernel to end what was killed


@cache
def _boot() -> str:
    """Tells boots apart: start times count from there, and a restored machine repeats its pids and times."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")[:8] + "."
    except OSError:
        return ""


def start_time(pid: int) -> str:
    """When `pid` started, in a form that only compares; empty when no such process runs."""
    row = process_row(pid)
    return _boot() + row[2] if row and _runs(row) else ""


def is_alive(pid: int, start_time: str) -> bool:
    """True while the very process that was recorded as (pid, start time) runs."""
    row = process_row(pid)
    return row is not None and _runs(row) and _boot() + row[2] == start_time


def is_stopped(pid: int) -> bool:
    """Whether the process is stopped, by Ctrl-Z, SIGSTOP or a debugger: it lives, and does nothing until it goes on."""
    row = process_row(pid)
    return row is not None and row[1].startswith(("T", "t"))


def end_tree(pid: int, start_time: str, marker: tuple[str, str] | None) -> list[int]:
    """End what is left of a tree whose engine died.

    Args:
        pid: the recorded root.
        start_time: the root's; when the pid was recycled the process that now has it is left alone.
        marker: a variable (name, value). Every process that was started with it in its environment belongs to
            the tree, and so do its descendants (Linux only). It finds what a killed root has left behind.

    Returns:
        The pids that were ended, ascending. A caller inside the tree spares itself, its ancestors and descendants.
    """
    doomed: dict[int, Row] = {}
    frozen, until = True, time.monotonic() + _FROZEN_WITHIN
    while True:  # a process that was seen stopped cannot fork, so the look after that finds all
        table = process_table()
        roots = {one for one in doomed if _same(table.get(one), doomed[one])} | _marked(table, marker)
        if is_alive(pid, start_time):
            roots.add(pid)
        found = _spare_own(table, _below(table, roots))
        new = {one: table[one] for one in found if one not in doomed and _runs(table[one])}
        if frozen and not new:
            break
        _send(new, signal.SIGSTOP)
        doomed |= new
        frozen = all(table[one][1] in "TtZX" for one in found) or time.monotonic() > until
    _send(doomed, signal.SIGKILL)
    until = time.monotonic() + _GONE_WITHIN
    while (left := _running(doomed)) and time.monotonic() < until:
        time.sleep(0.005)
    return sorted(doomed.keys() - left)


def find_tree(pid: int, start_time: str, marker: tuple[str, str] | None) -> list[int]:
    """The pids that `end_tree` would end, ascending; nothing happens to them."""
    table = process_table()
    roots = _marked(table, marker) | ({pid} if is_alive(pid, start_time) else set())
    return sorted(one for one in _spare_own(table, _below(table, roots)) if one in table and _runs(table[one]))


def inherited(names: Collection[str]) -> list[dict[str, str]]:
    """What our ancestors were started with of some variables, nearest first (Linux only).

    A program cannot take that back: a shell that unsets a variable still has it here.
    """
    found, pid = [], os.getppid()
    while pid > 1 and (row := process_row(pid)) is not None:
        environ = (entry.partition(b"=") for entry in _environ(pid))
        values = {os.fsdecode(name): os.fsdecode(value) for name, _, value in environ}
        found.append({name: values[name] for name in names if name in values})
        pid = row[0]
    return found


def _environ(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []  # it ended meanwhile, or is another user's, or this is not Linux


def _runs(row: Row) -> bool:
    return row[1] not in "ZX"  # a zombie has ended, only its parent has not looked yet


def _same(row: Row | None, known: Row) -> bool:
    return row is not None and row[2] == known[2]


def _running(known: dict[int, Row]) -> set[int]:
    rows = {pid: process_row(pid) for pid in known}
    return {pid for pid, row in rows.items() if row and _runs(row) and _same(row, known[pid])}


def _send(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue  # it ended meanwhile, or is another user's by now: then it is not among the ended


def _below(table: dict[int, Row], roots: set[int]) -> set[int]:
    """`roots` and all their descendants."""
    found, fresh = set(roots), set(roots)
    while fresh:
        fresh = {pid for pid, row in table.items() if row[0] in fresh} - found
        found |= fresh
    return found


def _spare_own(table: dict[int, Row], found: set[int]) -> set[int]:
    """`found` without our own line: an engine may itself run inside an agent of another run, and inherit its mark."""
    own = os.getpid()
    if own not in found:
        return found
    line, pid = _below(table, {own}), own
    while pid in table and pid not in line - {own}:
        line.add(pid)
        pid = table[pid][0]
    return found - line


def _marked(table: dict[int, Row], marker: tuple[str, str] | None) -> set[int]:
    if marker is None:
        return set()
    wanted = os.fsencode("=".join(marker))
    found = set()
    for pid in table:
        if wanted in _environ(pid):
            found.add(pid)
    return found
