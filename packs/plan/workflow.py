"""Plan a piece of work: draft, criticise, revise, until the critic is content; on request a person approves it.

( draft -> critique [-> approve] ) until sound -> document
"""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, Field, model_validator

from smithers_git import Approval, Context, Decision, Loop, Node, Sequence, Task, workflow


class Request(BaseModel):
    """What is to be planned."""

    prompt: str = Field(min_length=1, description="What is wanted.")
    approve: bool = Field(default=False, description="Ask a person before the plan counts as done.")
    max_rounds: int = Field(default=3, ge=1, le=20, description="Drafts before the last one is taken as it is.")


class Step(BaseModel):
    """One step: small enough for one change that can be checked by itself."""

    title: str
    what: str = Field(description="What is to be done, concretely.")
    files: list[str] = Field(description="Paths to touch, from the top of the repository; new ones marked (new).")
    done_when: str = Field(description="How one sees that it is done: a command and what it says.")


class Plan(BaseModel):
    """The plan."""

    title: str
    goal: str = Field(description="What will be true afterwards that is not true now.")
    approach: str = Field(description="The way that was chosen, and why not the next best one.")
    steps: list[Step] = Field(min_length=1, description="In order; each leaves the project in working state.")
    risks: list[str] = Field(default=[], description="What could go wrong, and what would tell.")
    not_included: list[str] = Field(default=[], description="What one could expect but is left out on purpose.")
    questions: list[str] = Field(default=[], description="What only a person can decide, each with a recommendation.")


class Critique(BaseModel):
    """What the critic says."""

    sound: bool = Field(description="True exactly when nothing must change.")
    must_change: list[str] = Field(description="What is wrong or missing, with the evidence; empty when sound.")
    could_change: list[str] = Field(default=[], description="Worth a thought.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.sound == bool(self.must_change):
            raise ValueError("sound must be true exactly when must_change is empty")
        return self


class Document(BaseModel):
    """The plan for people."""

    markdown: str


@workflow(input=Request)
def plan(ctx: Context[Request]) -> Node:
    """Plan a piece of work: draft, criticise, revise; on request a person approves it."""
    asked = ctx.input
    before = ctx.latest(Plan, "draft")
    critique = ctx.latest(Critique, "critique")
    decision = ctx.latest(Decision, "approve") if asked.approve and critique else None
    sound = bool(critique and critique.sound)
    last = ctx.iteration("rounds") == asked.max_rounds - 1

    def shown(draft: Plan, critique: Critique) -> str:
        return ctx.prompt("plan.md", plan=draft, objections=critique.must_change)

    def document(draft: Plan, critique: Critique) -> Document:
        return Document(markdown=shown(draft, critique))

    return Sequence(
        Loop(
            Task(
                "draft",
                agent=["plan", "smart"],
                output=Plan,
                prompt=ctx.prompt("draft.md", before=before, critique=critique, decision=decision),
            ),
            Task(
                "critique",
                agent=["review", "smart"],
                output=Critique,
                prompt=lambda draft: ctx.prompt("critique.md", plan=draft),
            ),
            Approval(
                "approve",
                title="Go by this plan?",
                summary=shown,
                on_deny="continue",  # the note goes into the next draft
            )
            if asked.approve and (sound or last)
            else None,
            until=bool(decision and decision.approved) if asked.approve else sound,
            max_iterations=asked.max_rounds,
            on_max="fail" if asked.approve else "return-last",
            id="rounds",
        ),
        Task("document", call=document),
    )
