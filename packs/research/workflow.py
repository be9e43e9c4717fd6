"""Answer a question with sources: split it, look into the parts side by side, answer, check every source.

questions -> ( find-… | find-… ) -> ( answer -> sources ) until every source is there
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, Field, model_validator

from smithers_git import Context, Loop, Node, Parallel, Sequence, Task, WorkflowError, workflow


class Request(BaseModel):
    """What is to be found out."""

    prompt: str = Field(min_length=1, description="The question.")
    max_questions: int = Field(default=5, ge=1, le=20, description="Parts that it is split into, at most.")
    max_concurrency: int = Field(default=4, ge=1, le=20, description="Parts that are looked into at once.")


class Question(BaseModel):
    """One part, which can be answered without the others."""

    id: str = Field(pattern=r"^[a-z][a-z0-9-]{1,39}$", description="Short name of it, say retry-limits.")
    question: str
    where: str = Field(description="Where to look first: folders, files, history, documentation.")


class Questions(BaseModel):
    """The parts."""

    questions: list[Question] = Field(min_length=1, description="Most important first.")

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len({one.id for one in self.questions}) < len(self.questions):
            raise ValueError("two questions have the same id")
        return self


class Source(BaseModel):
    """Where something is written."""

    kind: Literal["file", "commit", "url"]
    where: str = Field(
        description="path:line or path:first-last from the top of the repository; a commit id; an address."
    )
    says: str = Field(description="What stands there, in a few words or as a quotation.")


class Finding(BaseModel):
    """The answer to one part."""

    answer: str
    confidence: Literal["high", "medium", "low"]
    sources: list[Source] = Field(description="What the answer rests on.")
    gaps: list[str] = Field(default=[], description="What could not be found out, and what would tell.")


class Answer(BaseModel):
    """The whole answer."""

    answer: str = Field(description="Markdown; the short answer first. Claims carry [1], [2] … into sources.")
    confidence: Literal["high", "medium", "low"]
    sources: list[Source] = Field(min_length=1, description="Number 1 first.")
    open_questions: list[str] = Field(default=[], description="What is not known, and what would tell.")


class Checked(BaseModel):
    """Whether the sources are there."""

    passed: bool
    problems: list[str]


@workflow(input=Request)
def research(ctx: Context[Request]) -> Node:
    """Answer a question with sources: split it, look into the parts side by side, answer, check every source."""
    asked = ctx.input
    split = ctx.latest(Questions, "questions")
    parts = split.questions[: asked.max_questions] if split else []
    findings = {part.question: ctx.latest(Finding, f"find-{part.id}") for part in parts}
    before = ctx.latest(Answer, "answer")
    checked = ctx.latest(Checked, "sources")

    def answer(questions: Questions) -> str:  # noqa: ARG001 - naming it keeps this behind the questions
        if not any(findings.values()):
            raise WorkflowError("no part of the question was answered", hint=f"smithers why {ctx.run} tells why")
        return ctx.prompt("answer.md", findings=findings, before=before, checked=checked)

    return Sequence(
        Task("questions", agent=["research", "smart"], output=Questions, prompt=ctx.prompt("questions.md")),
        Parallel(
            [
                Task(
                    f"find-{part.id}",
                    agent=["research", "fast"],
                    output=Finding,
                    prompt=ctx.prompt("find.md", part=part, others=[one for one in parts if one is not part]),
                    label=part.question,
                    continue_on_fail=True,  # the answer says what is missing
                )
                for part in parts
            ],
            max_concurrency=asked.max_concurrency,
        ),
        Loop(
            Task("answer", agent="smart", output=Answer, prompt=answer),
            Task("sources", call=sources),
            until=bool(checked and checked.passed),
            max_iterations=3,
            on_max="fail",
            id="sourced",
        ),
    )


def sources(answer: Answer, workspace: Path) -> Checked:
    """Look every source up: files must have the lines, marks must have a source, and each source a mark."""
    problems = [found for one in answer.sources if (found := _missing(one, workspace))]
    marks = {int(number) for number in re.findall(r"(?<!\w)\[(\d+)\]", answer.answer)}
    known = set(range(1, len(answer.sources) + 1))
    problems += [f"[{number}] has no source" for number in sorted(marks - known)]
    problems += [
        f"source {number} is used nowhere: put [{number}] behind what rests on it" for number in sorted(known - marks)
    ]
    return Checked(passed=not problems, problems=problems)


def _missing(source: Source, workspace: Path) -> str | None:
    if source.kind == "url":
        return None if re.match(r"https?://\S+$", source.where) else f"{source.where} is not an address"
    if source.kind == "commit":
        return None if re.fullmatch(r"[0-9a-f]{7,64}", source.where) else f"{source.where} is not a commit id"
    name, _, lines = source.where.partition(":")
    path = (workspace / name).resolve()
    if not path.is_relative_to(workspace.resolve()) or not path.is_file():
        return f"there is no file {name} in the repository"
    last = re.fullmatch(r"(?:\d+-)?(\d+)", lines)
    if last is None:
        return f"{source.where}: give the line, as in {name}:12 or {name}:12-20"
    length = len(path.read_bytes().splitlines())
    return None if 1 <= int(last[1]) <= length else f"{source.where}: the file has {length} lines"
