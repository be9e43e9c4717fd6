"""The live view of `up` on a terminal: one line per node, elapsed, tokens, cost."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from smithers_git.clock import ago
from smithers_git.core import events as ev
from smithers_git.core.state import NodeState, State
from smithers_git.names import TaskKey
from smithers_git.service.project import Project
from smithers_git.service.watcher import Watcher

_MARKS: Final = {
    "pending": ("·", "dim"),
    "running": ("▶", "cyan"),
    "waiting": ("?", "yellow"),
    "finished": ("✓", "green"),
    "failed": ("✗", "red"),
    "skipped": ("-", "dim"),
}
_ROWS: Final = 20


class View:
    """Use as a context; `watcher` is what the engine tells."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._lock = threading.Lock()
        self._rows: dict[TaskKey, NodeState] = {}
        self._said: dict[TaskKey, str] = {}
        self._totals = ""
        self._live = Live(
            console=Console(stderr=True), get_renderable=self._table, refresh_per_second=5, transient=False
        )
        self.watcher = Watcher(recorded=self._recorded, said=self._heard, noted=self._live.console.print)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def _recorded(self, state: State, _events: tuple[ev.Event, ...], _at: float) -> None:
        with self._lock:
            self._rows = dict(state.nodes)
            cost = f", ${state.cost:.2f}" if state.cost else ""
            self._totals = f"run {state.run}  frame {state.number}  {len(state.done)} done  {state.tokens} tokens{cost}"

    def _heard(self, key: TaskKey, kind: str, text: str) -> None:
        if kind in ("text", "tool", "retrying") and text.strip():
            with self._lock:
                self._said[key] = text.strip().splitlines()[-1]

    def _table(self) -> Table:
        with self._lock:
            table = Table.grid(padding=(0, 1))
            for _ in range(4):
                table.add_column(no_wrap=True)
            table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
            rows = list(self._rows.items())
            if len(rows) > _ROWS:
                table.add_row("", f"… {len(rows) - _ROWS} more above", "", "", "")
            for key, node in rows[-_ROWS:]:
                table.add_row(*self._row(key, node))
            table.add_row("", Text(self._totals, style="dim"), "", "", "")
            return table

    def _row(self, key: TaskKey, node: NodeState) -> tuple[Text, ...]:
        mark, style = _MARKS[node.status]
        seconds = node.seconds
        if node.status == "running" and node.started is not None:
            seconds += self._project.clock.now() - node.started
        spent = f"{node.tokens} tok" if node.tokens else ""
        tail = self._said.get(key, "") if node.status == "running" else (node.error or "").partition("\n")[0]
        if node.status == "running" and node.agent:
            tail = f"{node.agent}: {tail}"
        return (
            Text(mark, style=style),
            Text(str(key)),
            Text(ago(seconds) if seconds >= 1 else "", style="dim"),
            Text(spent + (f" ${node.cost:.2f}" if node.cost else ""), style="dim"),
            Text(tail, style="red" if node.status == "failed" else "dim"),
        )
