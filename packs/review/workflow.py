"""Review your branch, or with --dirty your uncommitted changes too: four lenses side by side, then one verdict.

change -> ( correctness | security | tests | upkeep | check ) -> verdict
"""

from __future__ import annotations

import shlex
from typing import Literal, Self

from pydantic import BaseModel, Field, model_validator

from smithers_git import CommandResult, Context, Node, Parallel, Sequence, Task, WorkflowError, workflow

LENSES = {
    "correctness": "wrong results, unhandled cases, races, broken callers, and promises (names, docs, types) not kept",
    "security": "untrusted input that reaches a shell, path, query, template or parser; leaked secrets; lost checks",
    "tests": "behaviour without a test, tests that would pass without the change, and tests that were weakened",
    "upkeep": "what the next reader must untangle: duplicates, dead code, wrong names, needless parts, stale docs",
}
BASES = ["origin/HEAD", "origin/main", "origin/master", "main", "master"]
# The first of the names that exists and that HEAD has left. What changed comes first and the two ids last, because a
# result keeps the end of what a command said.
FIND = """
for name do
    base=$(git merge-base "$name" HEAD 2>/dev/null) || continue
    git diff --quiet "$base" HEAD && continue
    git diff --stat=110 "$base" HEAD
    echo "$base $(git rev-parse HEAD)"
    exit 0
done
exit 1
"""


class Request(BaseModel):
    """What is to be reviewed."""

    prompt: str = Field(default="", description="What to look at in particular; what the change is meant to do.")
    base: str | None = Field(default=None, description="Branch or commit to compare with; default: the main branch.")
    check_minutes: float = Field(default=30, gt=0, description="A check that takes longer is red.")


class Finding(BaseModel):
    """One thing that a reviewer found."""

    where: str = Field(description="path:line")
    severity: Literal["blocking", "major", "minor"]
    problem: str = Field(description="What goes wrong, and in which case.")
    wanted: str = Field(description="What would settle it.")
    evidence: str = Field(
        default="", description="How it was checked: a command and its output, or the lines that show it."
    )


class Report(BaseModel):
    """What one lens saw."""

    findings: list[Finding] = Field(description="Most severe first; empty when there is nothing to say.")
    looked_at: str = Field(description="What was read and tried, in a sentence or two.")


class Verdict(BaseModel):
    """All lenses together."""

    verdict: Literal["approve", "request-changes"]
    summary: str = Field(description="What the change does and how good it is, in at most five sentences.")
    findings: list[Finding] = Field(description="Checked, without duplicates, most severe first.")
    rejected: list[str] = Field(default=[], description="Findings of a lens that did not hold, each with the reason.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.verdict == "approve") == any(one.severity == "blocking" for one in self.findings):
            raise ValueError("the verdict must be request-changes exactly when a finding is blocking")
        return self


@workflow(input=Request)
def review(ctx: Context[Request]) -> Node:
    """Review your branch, or with --dirty your uncommitted changes too: four lenses side by side, then one verdict."""
    asked = ctx.input
    change = ctx.latest(CommandResult, "change")
    if change is not None and not change.passed:
        raise WorkflowError(
            f"there is nothing to review: HEAD does not differ from {asked.base or 'the main branch'}",
            hint='give --dirty for uncommitted changes, or --input \'{"base": "HEAD~3"}\' to compare with',
        )
    check = ctx.check or []
    typed = shlex.join(check)
    ran = ctx.latest(CommandResult, "check") if check else None
    reports = {name: ctx.latest(Report, name) for name in LENSES}

    def look(change: CommandResult, name: str, aim: str) -> str:
        return ctx.prompt("lens.md", change=_split(change), name=name, aim=aim)

    def weigh(change: CommandResult) -> str:
        if not any(reports.values()):
            raise WorkflowError("no lens brought a report", hint=f"smithers why {ctx.run} tells what went wrong")
        return ctx.prompt("verdict.md", change=_split(change), reports=reports, command=typed, ran=ran)

    return Sequence(
        Task("change", run=["sh", "-c", FIND, "sh", *([asked.base] if asked.base else BASES)], check=False),
        Parallel(
            Task("check", run=check, check=False, timeout=asked.check_minutes * 60) if check else None,
            [
                Task(
                    name,
                    agent=["review", "smart"],
                    output=Report,
                    prompt=lambda change, name=name, aim=aim: look(change, name, aim),
                    continue_on_fail=True,  # the other lenses are worth having without it
                )
                for name, aim in LENSES.items()
            ],
        ),
        Task("verdict", agent="smart", output=Verdict, prompt=weigh),
    )


def _split(change: CommandResult) -> dict[str, str]:
    """The stat, the base and the head out of what FIND printed."""
    stat, _, ids = change.tail.rstrip().rpartition("\n")
    base, _, head = ids.partition(" ")
    return {"stat": stat, "base": base[:12], "head": head[:12]}
