"""The sole home of SQLite: one rebuildable file that answers "which runs are there" without reading every frame.

Nothing is true because it stands here. Each row carries the ref tip that it reflects; a row whose tip is not the
ref's is stale and is written again from git. The file may be deleted at any moment, also while an engine runs.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from smithers_git.clock import SystemClock

if TYPE_CHECKING:  # it brings pydantic, which `ps` does without
    from smithers_git.core.state import State

VERSION: Final = 6
"""Raised with every change of the tables. A file with another number is made anew: it holds nothing of its own."""

# Not WAL: when only the file is deleted, those who have the old one open and those who make the new one share the
# log's index file, and reading ends in "disk I/O error" (tried, 3.40). A journal costs 30 us more a frame. Nothing is
# flushed: after a power cut the file is checked, see `_refuse_torn`.
_PRAGMAS: Final = ("PRAGMA journal_mode=TRUNCATE", "PRAGMA synchronous=OFF", "PRAGMA busy_timeout=5000")
_HELD: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


@dataclass(slots=True)
class RunRow:
    """What `ps` shows of a run."""

    run: str
    tip: str
    frame: int
    workflow: str
    title: str
    end: str | None
    paused: int
    parked: str | None
    waiting: str
    """JSON list of [node, title, since, kind] of what is waited for; kind: approval, question, signal or timer."""
    wake_at: float | None
    """Unix seconds of the earliest thing that is due by itself."""
    parent: str | None
    caller: str | None
    """The run of which a Subflow began this one."""
    predecessor: str | None
    successor: str | None
    created: float
    updated: float
    done: int
    failed: int
    running: str
    """JSON list of nodes with a started attempt."""
    tokens: int
    cost: float
    budget_tokens: int | None
    budget_usd: float | None
    error: str | None
    bypass: str
    """`isolated` or `open` when an agent of it was asked nothing; else empty."""


_COLUMNS: Final = tuple(RunRow.__dataclass_fields__)
_UPSERT: Final = (
    f"INSERT INTO runs ({','.join(_COLUMNS)}) VALUES ({','.join('?' * len(_COLUMNS))}) "
    f"ON CONFLICT(run) DO UPDATE SET {','.join(f'{name}=excluded.{name}' for name in _COLUMNS[1:])}"
)


def row_of(state: State, tip: str) -> RunRow:
    """The row of a run whose frames up to `tip` fold to `state`."""
    asked = [(key, state.approvals[key]) for key in state.waiting()]
    waiting = [[str(key), _text(one.title), one.requested, "approval"] for key, one in asked]
    waiting += [[str(key), _text(one.title), one.since, one.kind] for key, one in state.open_waits.items()]
    waiting += [
        [str(key), node.limit, node.ended, "limit", node.retry_at]
        for key in sorted(state.pauses)
        if (node := state.node(key)).limited
    ]
    title = state.input.get("prompt")
    return RunRow(
        run=state.run,
        tip=tip,
        frame=state.number,
        workflow=_text(state.workflow),
        title=_text(str(title).strip().partition("\n")[0][:200]) if title else "",
        end=state.end,
        paused=int(state.paused),
        parked=state.parked and _text(state.parked),
        waiting=json.dumps(waiting) if waiting else "[]",
        wake_at=state.wake_at,
        parent=state.parent,
        caller=state.caller,
        predecessor=state.predecessor,
        successor=state.successor,
        created=state.created,
        updated=state.updated,
        done=len(state.done),
        failed=len(state.failed_children),
        running=json.dumps([str(key) for key in state.running]) if state.running else "[]",
        tokens=state.tokens,
        cost=state.cost,
        budget_tokens=state.budget.tokens,
        budget_usd=state.budget.usd,
        error=state.error and _text(state.error),
        bypass=state.bypass,
    )


def _text(text: str) -> str:
    """As a frame has it: bytes of a command line that are not UTF-8 are question marks there."""
    return text.encode("utf-8", "replace").decode()


@dataclass(frozen=True, slots=True)
class Known:
    """Where the result of a cached task stands."""

    key: str
    run: str
    frame: str
    path: str
    code: str | None


class Index:
    """The index file of one repository."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db: sqlite3.Connection | None = None
        self._file_id: tuple[int, int] | None = None
        """Of the file that is open; None for a database in memory."""

    def record(self, state: State, tip: str, known: Iterable[Known] = ()) -> bool:
        """Let the run's row reflect `tip`; False when the file could not be written.

        That is not the run's failure: its row then has another tip than its ref, and the next reader mends it.
        """
        row = row_of(state, tip)
        values = [getattr(row, name) for name in _COLUMNS]
        # One statement is its own transaction; BEGIN and COMMIT around it would cost as much again.
        return self._write(
            [(_UPSERT, values), *(("INSERT OR REPLACE INTO cache VALUES (?,?,?,?,?)", astuple(one)) for one in known)]
        )

    def remove(self, runs: Iterable[str]) -> bool:
        """Forget runs whose ref is gone; False when the file could not be written."""
        return self._write(
            [(f"DELETE FROM {table} WHERE run = ?", [run]) for run in runs for table in ("runs", "cache")]
        )

    def _write(self, statements: list[tuple[str, Sequence[Any]]]) -> bool:
        try:
            for statement, values in statements:
                self._open().execute(statement, values)
        except sqlite3.Error:
            self.close()
            return False
        return True

    def tips(self) -> dict[str, str]:
        """Run to the tip that its row reflects."""
        # By whole rows: damage in any of them must show before what is missing is added, not after.
        return {row.run: row.tip for row in self.runs()}

    def runs(self) -> list[RunRow]:
        """Every run, newest first."""
        return [RunRow(*row) for row in self._rows(f"SELECT {','.join(_COLUMNS)} FROM runs ORDER BY created DESC, run")]

    def cached(self, key: str) -> Known | None:
        """Where a result with this cache key stands."""
        rows = self._rows("SELECT * FROM cache WHERE key = ?", key)
        return Known(**dict(rows[0])) if rows else None

    def _rows(self, query: str, *values: str) -> list[Any]:
        for mend in (self._give_up_file, self._in_memory):
            try:
                return self._open().execute(query, values).fetchall()
            except sqlite3.DatabaseError as error:
                mend(error)
        return self._open().execute(query, values).fetchall()

    def rebuild(self) -> None:
        """Start again from an empty file."""
        self.close()
        for suffix in ("-journal", ""):  # the journal first: it must not be played back into the next file
            with suppress(OSError):  # then it stays as it is, and `_open` does without it
                Path(f"{self.path}{suffix}").unlink(missing_ok=True)

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _open(self) -> sqlite3.Connection:
        if self._db is not None and (self._file_id is None or self._file_id == _id(self.path)):
            return self._db
        self.close()  # the file was deleted or replaced: what is written into it, nobody will read
        for mend in (self._give_up_file, self._in_memory):
            try:
                self._db = self._file()
                break
            except (sqlite3.Error, OSError) as error:
                mend(error)
        assert self._db is not None
        return self._db

    def _file(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.path.exists():  # its time stays: it tells whether the file is to be checked
            self.path.touch()
        self._file_id = _id(self.path)  # before it is opened: if it goes in between, the next `_open` sees that
        return self._connect(self.path)

    def _give_up_file(self, error: Exception) -> None:
        """Not a database, of another make, or torn by a power cut: it holds nothing of its own."""
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _HELD:
            self.rebuild()

    def _in_memory(self, _error: Exception) -> None:
        """Where no file can be: a read-only or full disk, another user's folder.

        Everything is then worked out anew from the refs, by this process for itself.
        """
        self.close()
        self._db, self._file_id = self._connect(":memory:"), None

    def _connect(self, path: Path | str) -> sqlite3.Connection:
        db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        try:
            db.row_factory = sqlite3.Row
            for pragma in _PRAGMAS:
                db.execute(pragma)
            if isinstance(path, Path):
                _refuse_torn(db, path)
            if _version(db) != VERSION:
                self._create(db)
        except BaseException:
            db.close()
            raise
        return db

    @staticmethod
    def _create(db: sqlite3.Connection) -> None:
        # sqlite_utils takes 90 ms to import, so only the process that makes the tables pays for it.
        from sqlite_utils import Database

        columns: dict[str, Any] = dict.fromkeys(_COLUMNS, str)
        columns |= dict.fromkeys(("frame", "paused", "done", "failed", "tokens", "budget_tokens"), int)
        columns |= dict.fromkeys(("created", "updated", "cost", "budget_usd", "wake_at"), float)
        db.execute("BEGIN IMMEDIATE")  # ten engines may begin at once in a repository without an index
        if _version(db) != VERSION:
            tables = Database(db)
            for name in ("runs", "cache"):
                tables[name].drop(ignore=True)
            tables["runs"].create(columns, pk="run")  # type: ignore[union-attr]
            tables["cache"].create(dict.fromkeys(Known.__dataclass_fields__, str), pk="key")  # type: ignore[union-attr]
            db.execute(f"PRAGMA user_version={VERSION}")
        db.execute("COMMIT")


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _id(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _refuse_torn(db: sqlite3.Connection, path: Path) -> None:
    """Raise when the file was last written before the machine started and is not whole. The check takes 10 ms."""
    clock = SystemClock()
    if path.stat().st_mtime > clock.now() - clock.monotonic():
        return
    if [tuple(row) for row in db.execute("PRAGMA integrity_check")] != [("ok",)]:
        raise sqlite3.DatabaseError(f"{path} was torn by a power cut")
