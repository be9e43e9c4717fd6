"""What a change would make of a branch: commits that stand beside every ref until one of them lands.

Merges are git's own, done without a checkout; the same input gives the same commit on every machine whose user has
the same name.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

from smithers_git.edge.git import merge_lost, merge_rebase, merge_text
from smithers_git.edge.git.command import failure, git
from smithers_git.edge.git.durable import sync_objects
from smithers_git.edge.git.merge_rebase import Step
from smithers_git.edge.git.merge_tree import UNFLUSHED, Conflict, MergeTree
from smithers_git.edge.git.objects import IDENTITY, Hands, Objects
from smithers_git.edge.git.repository import Repository

Style = Literal["merge", "rebase", "squash"]
Message = Callable[[str, str | None], str]
"""The whole message of a commit, of its tree and of the message that it had (None: it is a new one)."""

_CONFIGURED: Final = ("-c", "user.useConfigOnly=true")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A change on top of a branch.

    Attributes:
        commit: what the branch would point at; where it points already when there is nothing left of the change.
        trees: of every commit that it would put on the branch's line of first parents, oldest first.
    """

    commit: str
    trees: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Clash:
    """A change that git cannot put on top of a branch.

    Attributes:
        paths: that conflict; empty when it is not about files.
        text: git's sentences and the hunks of both sides with the base, at most some 16,000 characters.
    """

    paths: tuple[str, ...]
    text: str


class Merger:
    """Makes candidates. Writes objects and nothing else.

    Args:
        repo: the user's repository.
        objects: of this thread.
        is_snapshot: whether a commit with that message was made by the engine.
    """

    def __init__(self, repo: Repository, objects: Objects, is_snapshot: Callable[[str], bool]) -> None:
        self._repo = repo
        self._objects = objects
        self._is_snapshot = is_snapshot
        self._trees = MergeTree(repo.common_dir, objects)

    def candidate(self, onto: str, head: str, style: Style, message: Message, moment: int) -> Candidate | Clash:
        """The change `head` on top of the commit `onto`, not yet flushed to the disk: see `secure`.

        The author is the user, for a rebase the one of each commit. Signed if git is told to (commit.gpgSign).

        Args:
            onto: commit of the branch.
            head: commit of the change.
            style: merge (also where a fast-forward would do), rebase or squash, as git does each.
            message: gives the message of each new commit.
            moment: Unix seconds, for the dates of the commits.

        Raises:
            GitError: git cannot read one of the commits, or cannot sign.
            StorageError: the disk refuses.
        """
        if style == "rebase":
            return self._rebase(onto, head, message, moment)
        made = self._trees.merge(onto, head)
        if isinstance(made, Conflict):
            return self._clash(made, {onto: "target", head: "change"})
        unchanged = made == self._objects.read_commit(onto).tree
        if unchanged and (style == "squash" or self.contained(onto, head)):
            return Candidate(onto, ())
        parents = [onto, head] if style == "merge" else [onto]
        author = f"{self._author} {moment} +0000"
        return Candidate(self._commit(made, parents, message(made, None), (author, moment)), (made,))

    def contained(self, onto: str, head: str) -> bool:
        """Whether `head` is `onto` or in its history."""
        return self._objects.is_ancestor(head, onto)

    def base(self, onto: str, head: str) -> str | None:
        """The best common ancestor, the first one of several as `git merge-base` lists them."""
        done = self._repo.checkout.try_git("merge-base", onto, head)
        if done.code > 1:
            raise failure(self._repo.worktree, ("merge-base", onto, head), done)
        return os.fsdecode(done.stdout).strip() or None

    def commits(self, base: str, head: str) -> list[str]:
        """Commits in the history of `head` and not in that of `base`, oldest first."""
        return git(self._repo.common_dir, "rev-list", "--topo-order", "--reverse", f"{base}..{head}").split()

    def secure(self, candidate: Candidate, onto: str) -> None:
        """Flush to the disk all that the candidate has and `onto` has not: before a ref points at it."""
        sync_objects(self._repo.checkout, candidate.commit, onto)

    def lost(self, head: str, before: str, after: str) -> list[str]:
        """Paths whose change in `head` vanished when a branch went from `before` to `after`; none if all is well."""
        place = (self._repo.common_dir, self._objects)
        found = merge_lost.lost(self._trees, place, self.base(before, head), head, (before, after))
        if not found:
            return []
        # A commit that the target took over by itself, and may have gone on from: a rebase leaves it out.
        steps, _ = merge_rebase.steps(self._repo.common_dir, before, head, self._is_snapshot)
        known = [(step.base, step.commit) for step in steps if step.known and step.base is not None]
        taken = {path for old, new in known for path in merge_lost.changes(self._repo.common_dir, old, new)}
        return [path for path in found if path not in taken]

    def _rebase(self, onto: str, head: str, message: Message, moment: int) -> Candidate | Clash:
        tip, tree, made = onto, self._objects.read_commit(onto).tree, list[str]()
        steps, merges = merge_rebase.steps(self._repo.common_dir, onto, head, self._is_snapshot)
        for number, step in enumerate(steps):
            result = self._replayed(tree, step)
            if isinstance(result, Conflict):
                clash = self._clash(result, {step.commit: "change"})
                return Clash(clash.paths, f"While replaying {self._title(step)}:\n{clash.text}")
            tree = result
            following = steps[number + 1] if number + 1 < len(steps) else None
            if step.message is None and following is not None and following.message is None:
                continue  # snapshots become one commit
            if tree == self._objects.read_commit(tip).tree and not self._is_empty(step):
                continue
            author = f"{self._author} {moment} +0000" if step.message is None else step.author
            tip = self._commit(tree, [tip], message(tree, step.message), (author, moment))
            made.append(tree)
        gone = self.lost(head, onto, tip) if merges else []
        if gone:
            named = "\n".join(f"  {path}" for path in gone)
            why = "A rebase leaves out merge commits, and what only they changed: git rebase would lose it here too."
            way = "Land it with the style merge or squash, or bring the change into a commit of its own."
            return Clash(tuple(gone), f"{why}\nMerges: {' '.join(one[:12] for one in merges)}\n{named}\n{way}\n")
        return Candidate(tip, tuple(made))

    def _replayed(self, tree: str, step: Step) -> str | Conflict:
        """The tree of one change on top of `tree`."""
        if step.known:
            return tree
        read = self._objects.read_commit
        if step.base is not None and read(step.base).tree == tree:
            return read(step.commit).tree
        return self._trees.pick(tree, step.base, step.commit)

    def _is_empty(self, step: Step) -> bool:
        """Whether the commit was made to be an empty one; git keeps those and drops what becomes empty."""
        if step.message is None or step.base is None:
            return False
        return self._objects.read_commit(step.commit).tree == self._objects.read_commit(step.base).tree

    def _title(self, step: Step) -> str:
        title = self._objects.read_commit(step.commit).message.partition("\n")[0]
        return f"{step.commit[:12]} ({title})"

    def _clash(self, conflict: Conflict, sides: dict[str, str]) -> Clash:
        named = {path for paths, _ in conflict.notes for path in paths}
        text = merge_text.describe(self._repo.common_dir, self._objects, conflict, sides)
        return Clash(tuple(sorted(conflict.stages.keys() or named)), text)

    # -- commits

    def _commit(self, tree: str, parents: list[str], message: str, made: tuple[str, int]) -> str:
        """A commit whose author line and moment are `made`."""
        author, moment = made
        text = message.rstrip("\n") + "\n"
        if self._signed:
            return self._sign(tree, parents, text, made)
        hands = Hands(author, f"{self._committer} {moment} +0000")
        return self._objects.write_commit(tree, parents, text, moment, hands)

    def _sign(self, tree: str, parents: list[str], text: str, made: tuple[str, int]) -> str:
        env: dict[str, str] = {}
        author, committer = made[0], f"{self._committer} {made[1]} +0000"
        for role, line in (("AUTHOR", author), ("COMMITTER", committer)):
            who, seconds, zone = line.rsplit(" ", 2)
            name, _, mail = who.removesuffix(">").rpartition(" <")
            env |= {f"GIT_{role}_NAME": name, f"GIT_{role}_EMAIL": mail, f"GIT_{role}_DATE": f"@{seconds} {zone}"}
        options = [part for parent in parents for part in ("-p", parent)]
        arguments = (*UNFLUSHED, "-c", "i18n.commitEncoding=UTF-8", "commit-tree", "-S", tree, *options)
        return self._repo.checkout.git(*arguments, input=text.encode(), env=env)

    @cached_property
    def _signed(self) -> bool:
        found = self._repo.checkout.try_git("config", "--type=bool", "--get", "commit.gpgSign")
        return found.stdout.strip() == b"true"

    @cached_property
    def _author(self) -> str:
        return self._person("GIT_AUTHOR_IDENT")

    @cached_property
    def _committer(self) -> str:
        return self._person("GIT_COMMITTER_IDENT")

    def _person(self, variable: str) -> str:
        """`Name <mail>` of the user; of smithers where nobody is configured."""
        arguments = (*_CONFIGURED, "var", variable)
        done = self._repo.checkout.try_git(*arguments)
        if done.code and b"auto-detection is disabled" in done.stderr:
            return IDENTITY
        if done.code:
            raise failure(self._repo.worktree, arguments, done)
        return done.stdout.decode("utf-8", "replace").strip().rsplit(" ", 2)[0]
