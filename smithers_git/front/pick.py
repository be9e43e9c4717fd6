"""A person at the terminal chooses what to decide, reads the request, and decides; until the last yes, nothing is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from smithers_git.clock import ago, local
from smithers_git.core.approval_rules import may_decide
from smithers_git.edge import ask, output
from smithers_git.edge.git.diff import diff, diff_stat
from smithers_git.front.words import count, money
from smithers_git.service import requests
from smithers_git.service.approvals import Answer, Pending
from smithers_git.service.project import Project

Action = Literal["approve", "deny", "note", "diff", "postpone"]


@dataclass(frozen=True, slots=True)
class Picked:
    """What the person chose; `answer` is None when they put it off."""

    question: Pending
    answer: Answer | None


def pick(project: Project, waiting: list[Pending], verb: Literal["approve", "deny"], draft: Answer) -> Picked | None:
    """Ask which of `waiting` (oldest first) and then what; None when the person gave up. Raises NeedsTerminal.

    Args:
        verb: the command that was typed: what it says stands first.
        draft: who decides, and the note given so far.
    """
    now = project.clock.now()
    width = output.columns() - 6  # the pointer in front, and a column that terminals keep for the cursor
    labels = [
        output.clip(f"{one.run} {one.key}: {plain(one.title)} ({ago(now - one.since)})", width) for one in waiting
    ]
    question = ask.select(f"What do you want to {verb}?", list(zip(labels, waiting, strict=True)))
    if question is None:
        return None
    show(project, question)
    note = draft.note
    while True:
        action = ask.select("What do you say?", _actions(question, verb, draft.by, note))
        if action is None:
            return None
        if action == "postpone":
            return Picked(question, None)
        if action == "diff":
            output.page(_whole(project, question))
        elif action == "note":
            said = ask.text("A note for the run and its history:")
            if said is None:
                return None
            note = said
        else:
            answer = _answer(question, Answer(action == "approve", draft.by, note, digest=question.digest))
            sure = answer and ask.confirm(f"{action.capitalize()} {question.key} of run {question.run}?")
            if sure is None:
                return None
            if sure:
                return Picked(question, answer)


def _actions(question: Pending, verb: Literal["approve", "deny"], by: str, note: str) -> list[tuple[str, Action]]:
    found: list[tuple[str, Action]] = []
    if may_decide(question.asked.allowed, by):
        how = {"approve": "approve", "select": "choose one of the options", "rank": "put the options in order"}
        found = [(how[question.asked.mode], "approve"), ("deny", "deny")]
        found = found if verb == "approve" else found[::-1]
        found.append(("change the note" if note else "add a note", "note"))
    return [*found, ("open the full diff", "diff"), ("postpone", "postpone")]


def _answer(question: Pending, answer: Answer) -> Answer | None:
    """The answer with what the mode of the request asks for; None when the person gave up."""
    options = list(question.asked.options)
    if not answer.approved or question.asked.mode == "approve":
        return answer
    if question.asked.mode == "select":
        chosen = ask.select("Which one?", [(option, option) for option in options])
        return None if chosen is None else _with(answer, selected=chosen)
    order: list[str] = []
    while len(options) > 1:
        place = "Which one is best?" if not order else f"Which one is number {len(order) + 1}?"
        chosen = ask.select(place, [(option, option) for option in options])
        if chosen is None:
            return None
        order.append(chosen)
        options.remove(chosen)
    return _with(answer, ranking=(*order, *options))


def _with(answer: Answer, *, selected: str | None = None, ranking: tuple[str, ...] = ()) -> Answer:
    return Answer(answer.approved, answer.by, answer.note, selected, ranking, answer.digest)


def show(project: Project, question: Pending) -> None:
    """The request, what was changed for it, which gates were green on that, and what it cost so far."""
    asked, now = question.asked, project.clock.now()
    output.emit()
    output.emit(output.paint(plain(question.title), "bold"))
    for line in question.summary.strip().splitlines():
        output.emit(f"  {plain(line)}")
    for option in asked.options:
        output.emit(f"  - {plain(option)}")
    seen = requests.evidence(project, question.run, asked)
    for space, commit in question.commits.items():
        width = max(40, min(100, output.columns()))
        stat = diff_stat(project.repository, question.base, commit, color=output.colored(), width=width).rstrip()
        output.emit()
        output.emit(output.paint(f"changed in {space} since the start:", "dim"))
        output.emit(stat or "  nothing")
        for gate in seen.gates.get(space, ()):
            output.emit(output.paint(f"  green on these files: {plain(gate)}", "green"))
    spent = ", ".join(filter(None, [money(seen.cost), f"{count(seen.tokens)} tokens" if seen.tokens else ""]))
    rows = [
        ("spent so far", spent),
        ("who may decide", plain(", ".join(asked.allowed))),
        ("until", local(asked.until, now) if asked.until is not None else ""),
    ]
    output.emit()
    for name, value in rows:
        if value:
            output.emit(output.paint(f"{name}: {value}", "dim"))


def _whole(project: Project, question: Pending) -> str:
    texts = []
    for space, commit in question.commits.items():
        text = diff(project.repository, question.base, commit, color=output.colored())
        texts.append(f"{space}:\n{text or 'nothing was changed'}\n")
    return "\n".join(texts) or "it is about no files\n"


def plain(text: str) -> str:
    """`text` without what would move the cursor or change colours: it may come from an agent, or from a stranger."""
    return "".join(c if c.isprintable() else " " for c in text)
