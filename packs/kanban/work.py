"""One ticket on its way home: what its last pass brought, what the next one does, and why it did not land."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from smithers_git import (
    Approval,
    Card,
    CommandResult,
    Context,
    Decision,
    Land,
    Landing,
    Loop,
    Node,
    Survey,
    Task,
    Ticket,
    Worktree,
)

from .models import Change, Markers, Request, Verdict

# What was refused is mended on top of what landed meanwhile: $1 is the branch, $2 the name of this task. Conflicts are
# committed with their markers, so that an agent whose sandbox closes .git can resolve them by editing files. The commit
# has the branch as its first parent and the message of a step, so that a rebase takes it for one change on top of the
# branch and does not replay what conflicted. Nobody's hooks, signatures or editors take part.
MERGE: Final = """\
if [ -z "$(git config user.email)" ]; then
    export GIT_AUTHOR_NAME=smithers GIT_AUTHOR_EMAIL=smithers@localhost
    export GIT_COMMITTER_NAME=smithers GIT_COMMITTER_EMAIL=smithers@localhost
fi
ours() { git -c core.hooksPath=/dev/null -c core.quotePath=false -c merge.conflictStyle=diff3 "$@"; }
ours merge --quiet --no-commit --no-ff --no-stat --no-verify-signatures "refs/heads/$1"
theirs=$(git rev-parse --quiet --verify MERGE_HEAD) || ! git merge-base --is-ancestor "refs/heads/$1" HEAD || exit 3
[ -n "$theirs" ] || exit 2
conflicts=$(ours diff --name-only --diff-filter=U)
ours add --all &&
    tree=$(git write-tree) &&
    commit=$(git commit-tree --no-gpg-sign -p "$theirs" -p HEAD -m "$2: attempt 1" "$tree") &&
    ours update-ref HEAD "$commit" &&
    ours merge --quit || exit 2
[ -z "$conflicts" ] || { echo "$conflicts" | sed 's/^/conflict: /'; exit 1; }
"""
_MERGED: Final = {0: "clean", 1: "conflicts", 3: "nothing"}
_CONFLICT: Final = "conflict: "


class Pass:
    """What one pass of a ticket has brought so far."""

    def __init__(self, ctx: Context[Request], id: str, number: int) -> None:
        def brought(model: Any, node: str) -> Any:
            return ctx.output(model, f"{id}.{node}", number) if number >= 0 else None

        self.ticket: Ticket | None = brought(Ticket, "ticket")
        self.merge: CommandResult | None = brought(CommandResult, "merge")
        self.change: Change | None = brought(Change, "implement")
        self.markers: Markers | None = brought(Markers, "markers")
        self.check: CommandResult | None = brought(CommandResult, "check")
        self.review: Verdict | None = brought(Verdict, "review")
        self.decision: Decision | None = brought(Decision, "approve")
        self.landing: Landing | None = brought(Landing, "land")


def is_begun(ctx: Context[Request], id: str) -> bool:
    """Whether a pass of a ticket was ever started."""
    return ctx.iteration(f"{id}.loop") > 0 or ctx.output(Ticket, f"{id}.ticket", 0) is not None


class Work:
    """One ticket in this run.

    Args:
        ctx: what the workflow may read.
        ticket: its text as it is now.
        survey: the newest look at all of them.
    """

    def __init__(self, ctx: Context[Request], ticket: Ticket, survey: Survey) -> None:
        self.ctx, self.ticket, self.survey = ctx, ticket, survey
        self.id = ticket.id
        self.number = ctx.iteration(f"{self.id}.loop")
        self.now, self.before = (Pass(ctx, self.id, number) for number in (self.number, self.number - 1))

    @property
    def landed(self) -> bool:
        return bool(self.now.landing and self.now.landing.landed)

    @property
    def text(self) -> Ticket:
        """The ticket as this pass works from it; an edit takes effect with the next one."""
        return self.now.ticket or self.ticket

    @property
    def stale(self) -> bool:
        """Whether the ticket was edited since this pass began: what it brings is not what is wanted any more."""
        return self.text != self.ticket and not self.landed

    @cached_property
    def stuck(self) -> str:
        """Why another pass makes no sense: a task failed for good, or the queue will not have this ticket."""
        brought = {"implement": self.now.change, "check": self.now.check, "review": self.now.review}
        for node, output in {**brought, "land": self.now.landing}.items():
            error = self._error(node)
            if output is None and error:
                return f"{node} failed: {error}"
        final = self.now.landing is not None and self.now.landing.reason in ("ejected", "broken")
        return self._refusal() if final else ""

    def _error(self, node: str) -> str | None:
        """Why a task failed or was cut off; None when it was passed over, too."""
        error = self.ctx.error(f"{self.id}.{node}")
        return None if error == "skip_if" else error

    @cached_property
    def conflicts(self) -> list[str]:
        """Files that conflicted when what had landed was brought in, in any pass."""
        merges = self.ctx.all(CommandResult, f"{self.id}.merge")
        lines = [line for merge in merges for line in merge.tail.splitlines() if line.startswith(_CONFLICT)]
        return list(dict.fromkeys(line.removeprefix(_CONFLICT) for line in lines))

    @property
    def merged(self) -> str:
        """What came of bringing in what had landed: `clean`, `conflicts`, `nothing` that was new, or `failed`."""
        merge = self.now.merge
        return _MERGED.get(merge.exit_code, "failed") if merge and merge.exit_code is not None else "failed"

    @property
    def green(self) -> bool:
        return bool(self.now.check and self.now.check.passed) and not (self.now.markers and self.now.markers.files)

    @property
    def good(self) -> bool:
        return self.green and bool(self.now.review and self.now.review.approved) and not self.stale

    # -- the plan

    def node(self, command: list[str], landed: Mapping[str, Work]) -> Node:
        """The worktree in which it is worked on, until it has landed or is given up.

        `command` is the check; `landed` has the tickets that landed in this run, by id.
        """
        typed = shlex.join(command)
        asked, limit = self.ctx.input, self.ctx.input.check_minutes * 60
        refused = bool(self.before.landing and not self.before.landing.landed)
        accepted = not asked.approve or bool(self.now.decision and self.now.decision.approved)
        # What has entered the queue is not taken out of it again by an edit: it may land at any moment.
        entered = self.now.landing is None and self._error("land") is not None
        work = Loop(
            Task(f"{self.id}.ticket", value=self.ticket, label=f"{self.id}: {self.ticket.title}"),
            self._merge() if refused else None,
            Task(
                f"{self.id}.implement",
                agent="implement",
                output=Change,
                prompt=lambda: self._prompt(
                    "implement.md", typed, refused=self.before.landing if refused else None, landed=landed
                ),
                same_conversation=True,
                continue_on_fail=True,
            ),
            Task(f"{self.id}.markers", call=self._markers(), continue_on_fail=True) if self.conflicts else None,
            Task(
                f"{self.id}.check",
                run=command,
                check=False,
                timeout=limit,
                skip_if=bool(self.stuck or (self.now.markers and self.now.markers.files)),
                continue_on_fail=True,
            ),
            Task(
                f"{self.id}.review",
                agent=["review", "smart"],
                output=Verdict,
                prompt=lambda: self._prompt("review.md", typed),
                skip_if=not self.green or self.stale,
                continue_on_fail=True,
            ),
            self._approval(typed) if asked.approve and self.good else None,
            self._land(landed, skip=not (self.good and accepted) and not entered),
            until=self.landed or bool(self.stuck),
            max_iterations=asked.max_iterations,
            on_max="return-last",  # the others go on; the board says why this one did not land
            id=f"{self.id}.loop",
        )
        return Worktree(self.id, work, base=self.survey.onto)

    def _merge(self) -> Task:
        id = f"{self.id}.merge"
        return Task(id, run=["sh", "-c", MERGE, "merge", self.survey.onto, id], check=False, continue_on_fail=True)

    def _approval(self, typed: str) -> Approval:
        return Approval(
            f"{self.id}.approve",
            title=f"Land {self.id}: {self.ticket.title}?",
            summary=lambda: self._prompt("approve.md", typed),
            on_deny="continue",  # the note goes into the next pass
        )

    def _land(self, landed: Collection[str], *, skip: bool) -> Land:
        # The gates of the queue run on exactly the files that land, so whatever a reviewer left behind is tested there.
        return Land(
            f"{self.id}.land",
            ticket=self.id,
            title=self.text.title,
            body=lambda: self.now.change.summary if self.now.change else "",
            priority=self.ticket.priority,
            depends_on=[need for need in self.text.depends_on if need in landed],
            check=False,
            skip_if=skip,
            continue_on_fail=True,
        )

    def _markers(self) -> Any:
        names = self.conflicts

        def find(workspace: Path) -> Markers:
            return Markers(files=[name for name in names if marked(workspace / name)])

        return find

    def _prompt(self, name: str, typed: str, **more: Any) -> str:
        return self.ctx.prompt(
            name,
            ticket=self.text,
            command=typed,
            onto=self.survey.onto,
            work=self,
            before=self.before,
            now=self.now,
            **more,
        )

    # -- the board

    @property
    def card(self) -> Card:
        """How it ended."""
        card = Card(ticket=self.id, title=self.text.title, column="failed", passes=self.number + 1)
        if self.landed and self.now.landing:
            return card.model_copy(update={"column": "landed", "commit": self.now.landing.commit})
        return card.model_copy(update={"why": self.why})

    @property
    def why(self) -> str:
        """Why it has not landed, in a line."""
        if self.stuck:
            return self.stuck
        return f"{self._last()}, after {self.number + 1} pass{'es' * (self.number > 0)}"

    def _refusal(self) -> str:
        landing = self.now.landing
        return f"the queue refused it ({landing.reason}): {first_line(landing.evidence)}" if landing else ""

    def _last(self) -> str:
        now = self.now
        if now.landing:
            return self._refusal()
        if self.stale:
            return "it was edited in its last pass"
        if now.decision and not now.decision.approved:
            return f"{now.decision.by} said no" + (f": {now.decision.note}" if now.decision.note else "")
        if now.markers and now.markers.files:
            return f"conflicts were left in {', '.join(now.markers.files)}"
        if now.check and not now.check.passed:
            return f"its check is red: {last_line(now.check.tail)}"
        return f"the review refused it: {now.review.summary}" if now.review else "it did not get to an end"


def marked(path: Path) -> bool:
    """Whether a file holds a line that git puts around a conflict."""
    if path.is_symlink() or not path.is_file():
        return False  # deleting it is a way to resolve
    return any(line.startswith((b"<<<<<<< ", b">>>>>>> ")) for line in path.read_bytes().splitlines())


def first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "no evidence was kept")[:300]


def last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "it said nothing")[:300]
