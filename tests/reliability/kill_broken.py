"""Programs that are broken on purpose, each in one way that the kill loop must see. Called in the engine's process."""

from __future__ import annotations

from typing import Any

from smithers_git.core import events as ev
from smithers_git.edge.git import journal
from smithers_git.edge.lock import FileLock
from smithers_git.service import recover


def does_not_put_back() -> None:
    """What an attempt that was cut off has written stays where the next one works."""

    def settle(project: Any, chain: Any, workspaces: Any, found: Any) -> None:
        found.restore.clear()
        whole(project, chain, workspaces, found)

    whole, recover.settle = recover.settle, settle


def loses_a_frame() -> None:
    """Who takes over a run puts its ref back by one."""

    def examine(project: Any, chain: Any, workspaces: Any) -> Any:
        before = chain.objects.read_commit(chain.tip).parents[0]
        if chain.state.number > 1:
            chain.objects.advance(chain.ref, chain.tip, before)
            chain.reload()
        return whole(project, chain, workspaces)

    whole, recover.examine = recover.examine, examine


def two_owners() -> None:
    """The lock of a run keeps nobody out."""

    def try_acquire(self: FileLock, info: Any = None) -> bool:
        return whole(self, info) or self.path.parent.name == "locks"

    whole, FileLock.try_acquire = FileLock.try_acquire, try_acquire  # type: ignore[method-assign]
    FileLock.holds = lambda _self: True  # type: ignore[method-assign]


def works_again() -> None:
    """Who takes over a run does again what was done last."""

    def examine(project: Any, chain: Any, workspaces: Any) -> Any:
        found = whole(project, chain, workspaces)
        done = [str(key) for key in chain.state.done if key.node.startswith("step")]
        found.events.append(ev.TaskReset(nodes=done[-1:]))
        return found

    whole, recover.examine = recover.examine, examine


def forgets_what_is_late() -> None:
    """Whoever comes behind a dead engine takes its ref for all that there is."""
    journal._stands_before = lambda *_: False
