"""Implement a change: write it, run the project's own checks, review it, until both are content.

baseline -> ( implement -> check -> review [-> recheck] [-> approve] ) until green and approved, or the ceiling
"""

from __future__ import annotations

import shlex
from typing import Self

from pydantic import BaseModel, Field, model_validator

from smithers_git import Approval, CommandResult, Context, Decision, Loop, Node, Sequence, Task, WorkflowError, workflow


class Request(BaseModel):
    """What the user asks for."""

    prompt: str = Field(min_length=1, description="What is wanted.")
    approve: bool = Field(default=False, description="Ask a person before the change counts as done.")
    max_iterations: int = Field(default=5, ge=1, le=50, description="Passes before the run gives up.")
    check_minutes: float = Field(default=30, gt=0, description="A check that takes longer is red.")


class Change(BaseModel):
    """What the implementing agent says it did."""

    summary: str = Field(description="What changed and why, in two or three sentences.")
    files_changed: list[str] = Field(description="Paths from the top of the repository.")
    notes: list[str] = Field(default=[], description="Decisions taken, doubts, and what was left out on purpose.")


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
def implement(ctx: Context[Request]) -> Node:
    """Implement a change: write it, run the project's own checks, review it, until both are content."""
    command = _command(ctx)
    asked = ctx.input
    check = ctx.latest(CommandResult, "check")
    review = ctx.latest(Verdict, "review")
    now = ctx.iteration("until-green")
    before, recheck = (ctx.output(CommandResult, "recheck", n) if review else None for n in (now - 1, now))
    decision = ctx.latest(Decision, "approve") if asked.approve and check else None
    green = bool(check and check.passed)
    approved = green and bool(review and review.approved)
    # What counts is a green check of exactly the files that are left: a reviewer who tries things may change some.
    touched = approved and ctx.commit("review") != ctx.commit("check")
    good = approved and (not touched or bool(recheck and recheck.passed))
    typed = shlex.join(command)

    def work(baseline: CommandResult) -> str:
        known = {"baseline": baseline, "ran": before or check, "review": review, "decision": decision}
        return ctx.prompt("implement.md", command=typed, after_review=before is not None, **known)

    return Sequence(
        Task("baseline", run=command, check=False, timeout=asked.check_minutes * 60),
        Loop(
            Task("implement", agent="implement", output=Change, prompt=work),
            Task("check", run=command, check=False, timeout=asked.check_minutes * 60),
            Task(
                "review",
                agent=["review", "smart"],
                output=Verdict,
                skip_if=not green,  # a red check goes straight back: no reviewer is paid to read it
                prompt=lambda implement: ctx.prompt("review.md", command=typed, change=implement, before=review),
            ),
            Task("recheck", run=command, check=False, timeout=asked.check_minutes * 60) if touched else None,
            Approval(
                "approve",
                title="Take this change?",
                summary=lambda implement, review: ctx.prompt("approve.md", change=implement, review=review),
                on_deny="continue",  # the note goes into the next pass
            )
            if asked.approve and good
            else None,
            until=good and (not asked.approve or bool(decision and decision.approved)),
            max_iterations=asked.max_iterations,
            on_max="fail",
            id="until-green",
        ),
    )


def _command(ctx: Context[Request]) -> list[str]:
    """The project's check. Without one, nothing could say when the loop is done: refused before a token is spent."""
    if not ctx.check:
        raise WorkflowError(
            "implement needs the project's check command, and none is configured or was found",
            hint='set check = "…" in .smithers/config.toml, say check = "make test"; smithers init writes the file',
        )
    return ctx.check
