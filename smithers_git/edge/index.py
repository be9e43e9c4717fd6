"""The sole home of SQLite: one rebuildable file that answers "which runs are there" without reading every frame.

Nothing is true because it stands here. Each row carries the ref tip that it reflects; a row whose tip is not the
ref's is stale and is written again from git. The file may be deleted at any moment, also while an engine runs.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:  # it brings pydantic, which `ps` does without
    from smithers_git.core.state import State

VERSION: Final = 1
"""Raised with every change of the tables. A file with another number is made anew: it holds nothing of its own."""

_PRAGMAS: Final = ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL", "PRAGMA busy_timeout=5000")


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
    waiting: str
    """JSON list of [node, title, since] of undecided approvals."""
    parent: str | None
    created: float
    updated: float
    done: int
    failed: int
    running: str
    """JSON list of nodes with a started attempt."""
    tokens: int
    cost: float
    error: str | None


_COLUMNS: Final = tuple(RunRow.__dataclass_fields__)
_UPSERT: Final = (
    f"INSERT INTO runs ({','.join(_COLUMNS)}) VALUES ({','.join('?' * len(_COLUMNS))}) "
    f"ON CONFLICT(run) DO UPDATE SET {','.join(f'{name}=excluded.{name}' for name in _COLUMNS[1:])}"
)


def row_of(state: State, tip: str) -> RunRow:
    """The row of a run whose frames up to `tip` fold to `state`."""
    waiting = [[str(key), state.approvals[key].title, state.approvals[key].requested] for key in state.waiting()]
    title = state.input.get("prompt")
    return RunRow(
        run=state.run,
        tip=tip,
        frame=state.number,
        workflow=state.workflow,
        title=str(title).strip().partition("\n")[0][:200] if title else "",
        end=state.end,
        paused=int(state.pause_requested),
        waiting=json.dumps(waiting) if waiting else "[]",
        parent=state.parent,
        created=state.created,
        updated=state.updated,
        done=len(state.done),
        failed=len(state.failed_children),
        running=json.dumps([str(key) for key in state.running]) if state.running else "[]",
        tokens=state.tokens,
        cost=state.cost,
        error=state.error,
    )


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
        self._in_memory = False

    def record(self, state: State, tip: str, known: Iterable[Known] = ()) -> bool:
        """Let the run's row reflect `tip`; False when the file could not be written.

        That is not the run's failure: its row then has another tip than its ref, and the next reader mends it.
        """
        try:
            db, row = self._open(), row_of(state, tip)
            # One statement is its own transaction; BEGIN and COMMIT around it would cost as much again. The run's row
            # comes last: its tip says that all of the frame is here.
            for one in known:
                db.execute("INSERT OR REPLACE INTO cache VALUES (:key,:run,:frame,:path,:code)", asdict(one))
            db.execute(_UPSERT, [getattr(row, name) for name in _COLUMNS])
        except sqlite3.Error:
            self.close()
            return False
        return True

    def remove(self, runs: Iterable[str]) -> None:
        """Forget runs whose ref is gone."""
        for run in runs:
            self._open().execute("DELETE FROM runs WHERE run = ?", (run,))
            self._open().execute("DELETE FROM cache WHERE run = ?", (run,))

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
        try:
            return self._open().execute(query, values).fetchall()
        except sqlite3.DatabaseError:
            self.rebuild()
            return self._open().execute(query, values).fetchall()

    def rebuild(self) -> None:
        """Start again from an empty file."""
        self.close()
        for suffix in ("", "-wal", "-shm"):
            with suppress(OSError):  # then it stays as it is, and `_open` does without it
                Path(f"{self.path}{suffix}").unlink(missing_ok=True)

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _open(self) -> sqlite3.Connection:
        if self._db is None or not (self._in_memory or self.path.exists()):
            self.close()
            found = self._file()
            self._in_memory = found is None
            self._db = found or self._connect(":memory:")
        return self._db

    def _file(self) -> sqlite3.Connection | None:
        """The file; None where there can be none: a read-only or full disk, another user's folder.

        Everything is then worked out anew from the refs, by this process for itself.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                return self._connect(self.path)
            except sqlite3.DatabaseError:  # not a database, or torn by a power cut: it holds nothing of its own
                self.rebuild()
                return self._connect(self.path)
        except (sqlite3.Error, OSError):
            return None

    def _connect(self, path: Path | str) -> sqlite3.Connection:
        db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        db.row_factory = sqlite3.Row
        for pragma in _PRAGMAS:
            db.execute(pragma)
        if db.execute("PRAGMA user_version").fetchone()[0] != VERSION:
            self._create(db)
        return db

    @staticmethod
    def _create(db: sqlite3.Connection) -> None:
        # sqlite_utils takes 90 ms to import, so only the process that makes the tables pays for it.
        from sqlite_utils import Database

        tables = Database(db)
        for name in ("runs", "cache"):
            tables[name].drop(ignore=True)
        columns: dict[str, Any] = dict.fromkeys(RunRow.__dataclass_fields__, str)
        columns |= dict.fromkeys(("frame", "paused", "done", "failed", "tokens"), int)
        columns |= dict.fromkeys(("created", "updated", "cost"), float)
        tables["runs"].create(columns, pk="run")  # type: ignore[union-attr]
        tables["runs"].create_index(["created"])  # type: ignore[union-attr]
        tables["cache"].create(dict.fromkeys(Known.__dataclass_fields__, str), pk="key")  # type: ignore[union-attr]
        db.execute(f"PRAGMA user_version={VERSION}")
        db.commit()
