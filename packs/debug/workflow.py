"""Find and mend a bug: first a test that shows it, then the cause, until checks and review are content.

baseline -> ( reproduce -> evidence -> tests ) until the check is red on a test that exists
         -> ( fix -> check -> intact -> review [-> recheck] ) until green, the test untouched, and approved
"""

from __future__ import annotations

import shlex
from typing import Self

from pydantic import BaseModel, Field, model_validator

from smithers_git import CommandResult, Context, Loop, Node, Sequence, Task, WorkflowError, workflow


class Request(BaseModel):
    """What the user reports."""

    prompt: str = Field(min_length=1, description="What happens, what should happen, and how to get there.")
    max_iterations: int = Field(default=5, ge=1, le=50, description="Passes of the fix before the run gives up.")
    max_reproductions: int = Field(default=3, ge=1, le=20, description="Tries to show the bug before the run gives up.")
    check_minutes: float = Field(default=30, gt=0, description="A check that takes longer is red.")


class Reproduction(BaseModel):
    """The bug as a failing test."""

    summary: str = Field(description="What fails, and with which message.")
    tests: list[str] = Field(min_length=1, description="Files of the failing tests, from the top of the repository.")
    suspicion: str = Field(default="", description="Where the cause may be, and why.")


class Fix(BaseModel):
    """What the fixing agent says it did."""

    cause: str = Field(description="The root cause: which line does what wrong, and since when or why.")
    summary: str = Field(description="What changed, in two or three sentences.")
    files_changed: list[str] = Field(description="Paths from the top of the repository.")
    notes: list[str] = Field(default=[], description="Doubts, and other places with the same mistake.")


class Issue(BaseModel):
    """Something that must not stay as it is."""

    where: str = Field(description="path:line, or what is missing.")
    problem: str = Field(description="What goes wrong, and with which input or in which case.")
    wanted: str = Field(description="What would settle it.")


class Verdict(BaseModel):
    """What the reviewer decided."""

    approved: bool = Field(description="True exactly when there is no blocking issue.")
    summary: str = Field(description="The judgement in one or two sentences.")
    blocking: list[Issue] = Field(description="Issues that must be solved first; empty when approved.")
    minor: list[str] = Field(default=[], description="Worth knowing, but no reason to go round again.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.approved == bool(self.blocking):
            raise ValueError("approved must be true exactly when blocking is empty")
        return self


@workflow(input=Request)
def debug(ctx: Context[Request]) -> Node:
    """Find and mend a bug: first a test that shows it, then the cause, until checks and review are content."""
    command = _command(ctx)
    limit = ctx.input.check_minutes * 60
    return Sequence(
        Task("baseline", run=command, check=False, timeout=limit),
        _reproduction(ctx, command, limit),
        _repair(ctx, command, limit),
    )


def _reproduction(ctx: Context[Request], command: list[str], limit: float) -> Loop:
    evidence = ctx.latest(CommandResult, "evidence")
    tests = ctx.latest(CommandResult, "tests")
    shown = bool(evidence and not evidence.passed and tests and tests.passed)

    def work(baseline: CommandResult) -> str:
        return ctx.prompt(
            "reproduce.md", command=shlex.join(command), baseline=baseline, evidence=evidence, tests=tests
        )

    return Loop(
        Task("reproduce", agent="implement", output=Reproduction, prompt=work),
        Task("evidence", run=command, check=False, timeout=limit),
        Task("tests", run=_identity(ctx), check=False),
        until=shown,
        max_iterations=ctx.input.max_reproductions,
        on_max="fail",
        id="reproduction",
    )


def _repair(ctx: Context[Request], command: list[str], limit: float) -> Loop:
    check = ctx.latest(CommandResult, "check")
    review = ctx.latest(Verdict, "review")
    tests = ctx.latest(CommandResult, "tests")
    intact = ctx.latest(CommandResult, "intact")
    untouched = bool(tests and intact and tests.tail == intact.tail)
    green = bool(check and check.passed) and untouched
    approved = green and bool(review and review.approved)
    # What counts is a green check of exactly the files that are left: a reviewer who tries things may change some.
    touched = approved and ctx.commit("review") != ctx.commit("check")
    now = ctx.iteration("repair")
    before, recheck = (ctx.output(CommandResult, "recheck", n) if review else None for n in (now - 1, now))
    typed = shlex.join(command)

    def work(reproduce: Reproduction, evidence: CommandResult) -> str:
        known = {"found": reproduce, "evidence": evidence, "ran": before or check, "review": review}
        cheated = intact is not None and not untouched
        return ctx.prompt("fix.md", command=typed, cheated=cheated, after_review=before is not None, **known)

    def look(reproduce: Reproduction, fix: Fix) -> str:
        return ctx.prompt("review.md", command=typed, found=reproduce, fix=fix, before=review)

    return Loop(
        Task("fix", agent=["implement", "smart"], output=Fix, prompt=work),
        Task("check", run=command, check=False, timeout=limit),
        Task("intact", run=_identity(ctx), check=False),
        Task("review", agent=["review", "smart"], output=Verdict, skip_if=not green, prompt=look),
        Task("recheck", run=command, check=False, timeout=limit) if touched else None,
        until=approved and (not touched or bool(recheck and recheck.passed)),
        max_iterations=ctx.input.max_iterations,
        on_max="fail",
        id="repair",
    )


def _identity(ctx: Context[Request]) -> list[str]:
    """A command that prints which content the reproducing tests have, and fails when one of them does not exist."""
    found = ctx.latest(Reproduction, "reproduce")
    return ["git", "rev-parse", *(f"HEAD:{path}" for path in found.tests)] if found else ["git", "version"]


def _command(ctx: Context[Request]) -> list[str]:
    """The project's check. Without one, nothing could show the bug or its end: refused before a token is spent."""
    if not ctx.check:
        raise WorkflowError(
            "debug needs the project's check command, and none is configured or was found",
            hint='set check = "…" in .smithers/config.toml, say check = "make test"; smithers init writes the file',
        )
    return ctx.check
