"""What is asked of the board, and what the agents answer."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, Field, model_validator


class Request(BaseModel):
    """What is asked of the board."""

    prompt: str = Field(default="", description="What holds for every ticket, besides what it says itself.")
    tickets: list[str] = Field(default=[], description="Ids; all tickets when none is given.")
    onto: str | None = Field(default=None, description="Branch to land on; default: [landing] branch.")
    style: Literal["merge", "rebase", "squash"] | None = Field(default=None, description="Default: [landing] style.")
    approve: bool = Field(default=False, description="Ask a person before each ticket lands.")
    max_concurrency: int | None = Field(default=None, ge=1, le=64, description="Tasks of tickets at once.")
    max_iterations: int = Field(default=5, ge=1, le=50, description="Passes before a ticket is given up.")
    check_minutes: float = Field(default=30, gt=0, description="A check that takes longer is red.")
    strict: bool = Field(default=False, description="Fail the run at its end when a ticket did not land.")


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


class Markers(BaseModel):
    """Files that still hold the markers of a conflict."""

    files: list[str]
