"""Candidates of a merge queue in memory: what `edge.git.merge.Merger` makes where files change whole, without a disk.

It gives what the real one gives (tests/edge/git/test_merge_memory.py) of histories in which a file that both sides
changed is a conflict unless they made it the same, nobody renames a file, and the change is a line of the engine's own
snapshots.
"""

from __future__ import annotations

from collections.abc import Iterator

from kit.memory_git import MemoryObjects

from smithers_git.edge.git.entries import Entry
from smithers_git.edge.git.merge import Candidate, Clash, Message, Style
from smithers_git.edge.git.objects import IDENTITY, Hands


class MemoryMerger:
    """Makes candidates. `author`: the user, `Name <mail>`."""

    def __init__(self, objects: MemoryObjects, author: str = IDENTITY) -> None:
        self._objects = objects
        self._author = author

    def candidate(self, onto: str, head: str, style: Style, message: Message, moment: int) -> Candidate | Clash:
        merged = self._merge(self.base(onto, head), onto, head)
        clashes = sorted(path for path, entry in merged.items() if entry is None)
        if clashes:
            return Clash(tuple(clashes), f"both changed {', '.join(clashes)}")
        tree = self._objects.write_tree({path: entry for path, entry in merged.items() if entry is not None})
        unchanged = tree == self._objects.read_commit(onto).tree
        if unchanged and (style != "merge" or self.contained(onto, head)):
            return Candidate(onto, ())
        parents = [onto, head] if style == "merge" else [onto]
        line = f"{self._author} {moment} +0000"
        text = message(tree, None).rstrip("\n") + "\n"
        return Candidate(self._objects.write_commit(tree, parents, text, moment, Hands(line, line)), (tree,))

    def contained(self, onto: str, head: str) -> bool:
        return self._objects.is_ancestor(head, onto)

    def base(self, onto: str, head: str) -> str | None:
        there = set(self._back(onto))
        return next((commit for commit in self._back(head) if commit in there), None)

    def secure(self, candidate: Candidate, onto: str) -> None:
        """There is no disk to flush it to."""

    def lost(self, head: str, before: str, after: str) -> list[str]:
        there = self._files(after)
        return [path for path, entry in self.changed(self.base(before, head), head).items() if there.get(path) != entry]

    def changed(self, base: str | None, head: str) -> dict[str, Entry | None]:
        """The files that differ, as `head` has them; None: it has them no more."""
        before, after = self._files(base), self._files(head)
        return {path: after.get(path) for path in {**before, **after} if before.get(path) != after.get(path)}

    def _merge(self, base: str | None, onto: str, head: str) -> dict[str, Entry | None]:
        """The files of both sides; None where they conflict."""
        was, ours, theirs = self._files(base), self._files(onto), self._files(head)
        merged: dict[str, Entry | None] = {}
        for path in {**was, **ours, **theirs}:
            one, other = ours.get(path), theirs.get(path)
            if one == other or other == was.get(path):
                found = one
            elif one == was.get(path):
                found = other
            else:
                merged[path] = None
                continue
            if found is not None:
                merged[path] = found
        return merged

    def _files(self, commit: str | None) -> dict[str, Entry]:
        return {} if commit is None else dict(self._objects.files(self._objects.read_commit(commit).tree))

    def _back(self, commit: str) -> Iterator[str]:
        """A commit and all before it, near ones first."""
        pending, seen = [commit], {commit}
        for one in pending:
            yield one
            fresh = [parent for parent in self._objects.read_commit(one).parents if parent not in seen]
            seen.update(fresh)
            pending += fresh
