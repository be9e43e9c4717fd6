"""The sole home of SQLite: one rebuildable file that answers "which runs are there" without reading every frame.

Nothing is true because it stands here. Each row carries the ref tip that it reflects; a row whose tip is not the
ref's is stale and is written again from git. The file may be deleted at any moment, also while an engine runs.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
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
    f"INSERT INTO runs ({','.join(_COLUMNS)}) VALUES ({','.join(f':{name}' for name in _COLUMNS)}) "
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
        waiting=json.dumps(waiting),
        parent=state.parent,
        created=state.created,
        updated=state.updated,
        done=len(state.done),
        failed=len(state.failed_children),
        running=json.dumps([str(key) for key in state.running]),
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

    def record(self, state: State, tip: str, known: Iterable[Known] = ()) -> bool:
        """Let the run's row reflect `tip`; False when the file could not be written.

        That is not the run's failure: its row then has another tip than its ref, and the next reader mends it.
        """
        try:
            with self._open() as db:
                row = row_of(state, tip)
                # Not asdict: it copies deeply, 0.1 ms a frame for nothing.
                db.execute(_UPSERT, {name: getattr(row, name) for name in _COLUMNS})
                db.executemany("INSERT OR REPLACE INTO cache VALUES (:key,:run,:frame,:path,:code)", map(asdict, known))
        except sqlite3.Error:
            self.close()
            return False
        return True

    def remove(self, runs: Iterable[str]) -> None:
        """Forget runs whose ref is gone."""
        with self._open() as db:
            gone = [(run,) for run in runs]
            db.executemany("DELETE FROM runs WHERE run = ?", gone)
            db.executemany("DELETE FROM cache WHERE run = ?", gone)

    def tips(self) -> dict[str, str]:
        """Run to the tip that its row reflects."""
        return {row["run"]: row["tip"] for row in self._rows("SELECT run, tip FROM runs")}

    def runs(self) -> list[RunRow]:
        """Every run, newest first."""
        return [RunRow(**dict(row)) for row in self._rows("SELECT * FROM runs ORDER BY created DESC, run")]

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
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _open(self) -> sqlite3.Connection:
        if self._db is not None and self.path.exists():
            return self._db
        self.close()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = self._connect()
        except sqlite3.DatabaseError:  # not a database, or torn by a power cut: it holds nothing of its own
            self.rebuild()
            self._db = self._connect()
        return self._db

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, check_same_thread=False)
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
