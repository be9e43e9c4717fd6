"""The candidates of one queue: made in memory, remembered while their target stands, and seen by the planner."""

from __future__ import annotations

from smithers_git.core.landing.entry import Entry
from smithers_git.core.landing.state import EntryState, QueueState
from smithers_git.core.landing.view import Check, Conflict, Merged, View
from smithers_git.edge.git.merge import Candidate, Clash
from smithers_git.edge.git.objects import Objects
from smithers_git.errors import GitError
from smithers_git.service.landing import home
from smithers_git.service.project import Project


class Candidates:
    """What can be known of a queue's future without running a gate.

    Args:
        project: the repository.
        objects: of this thread alone.
        target: full name of the branch that is landed on.
    """

    def __init__(self, project: Project, objects: Objects, target: str) -> None:
        self.project = project
        self.objects = objects
        self.target = target
        self.site = project.site(target)
        self.merger = self.site.merger(objects)
        self.env = self.site.env()
        self.hooked = self.site.has_hooks()
        self._made: dict[tuple[str, str], Merged | Conflict] = {}
        self._text: dict[tuple[str, str], str] = {}
        self._contained: dict[tuple[str, str], bool] = {}
        self._commits: dict[str, str] = {}
        self._tickets: dict[str, frozenset[str]] = {}

    def view(self, state: QueueState, checking: frozenset[Check], blocked: str | None) -> View:
        """What the planner looks at; raises GitError when the target is gone."""
        tip = self.objects.ref(self.target)
        if tip is None:
            name = self.target.removeprefix("refs/heads/")
            raise GitError(f"the branch {name} that the queue lands on is gone", hint=f"git branch {name} COMMIT")
        waiting, tree = state.waiting(), self.objects.read_commit(tip).tree
        self._commits[tree] = tip
        return View(
            tip=tip,
            tree=tree,
            merges=self._made,
            checking=checking,
            lanes=self.site.width(),
            env=self.env,
            moved=frozenset(one.entry.id for one in waiting if self._moved(one)),
            contained=frozenset(one.entry.id for one in waiting if self._holds(tip, one.entry.head)),
            blocked=blocked,
            hooks=self.hooked,
            landed=self._landed(state, tip),
        )

    def make(self, onto: str, one: EntryState) -> None:
        """The candidate of an entry on top of a commit."""
        entry, clean = one.entry, self.project.redactor().text
        made = self.merger.candidate(
            onto,
            entry.head,
            entry.style,
            lambda tree, original: clean(home.message(entry, tree, original)),
            int(one.entered),  # so that the same entry gives the same commit after a crash
        )
        if isinstance(made, Candidate):
            self._made[onto, entry.id] = Merged(made.commit, made.trees)
            self._commits |= home.commits_by_tree(self.objects, onto, made.commit)
        else:
            where = ", ".join(made.paths) or made.text.strip().partition("\n")[0]
            self._made[onto, entry.id] = Conflict(where)
            self._text[onto, entry.id] = self._explained(onto, entry, made)

    def _explained(self, onto: str, entry: Entry, clash: Clash) -> str:
        """The hunks of both sides, and what each of them wanted: who mends a conflict has to keep both."""
        base = self.merger.base(onto, entry.head)
        theirs = self.site.titles(base, onto, *clash.paths) if base is not None else []
        wanted = [f"  yours:      {entry.title}", *(f"  the target: {line}" for line in theirs)]
        return "\n".join([clash.text.rstrip(), "", "What each side wanted:", *wanted, ""])

    def forget_missing(self) -> None:
        """Make anew what is no longer there: a `git gc --prune=now` of the user's takes what no ref holds."""
        for key, made in list(self._made.items()):
            if isinstance(made, Merged) and not self.objects.has(made.commit):
                del self._made[key]

    def merged(self, onto: str, entry: str) -> Merged:
        """A candidate that was made."""
        found = self._made[onto, entry]
        assert isinstance(found, Merged)
        return found

    def hunks(self, onto: str, entry: str) -> str:
        """Where the two sides conflict; empty when they do not."""
        return self._text.get((onto, entry), "")

    def commit_of(self, tree: str) -> str | None:
        """A commit with that tree, for a worktree to check out; None when none is known."""
        return self._commits.get(tree)

    def _moved(self, one: EntryState) -> bool:
        branch = one.entry.branch
        return branch is not None and self.objects.ref(branch) not in (one.entry.head, None)

    def _landed(self, state: QueueState, tip: str) -> frozenset[str]:
        """Tickets that are waited for, that this queue knows nothing of, and that are in the target all the same."""
        needed = {need for one in state.waiting() for need in one.entry.depends_on}
        if not needed - state.landed_names.keys() - state.names.keys():
            return frozenset()
        if tip not in self._tickets:
            self._tickets = {tip: frozenset(self.site.tickets(tip))}
        return self._tickets[tip] & needed

    def _holds(self, tip: str, head: str) -> bool:
        known = self._contained.get((tip, head))
        if known is None:
            known = self._contained[tip, head] = self.merger.contained(tip, head)
        return known
