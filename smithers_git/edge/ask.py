"""The sole home of questionary: questions to the person at the terminal.

Each returns None when the person gave up (Ctrl-C, Ctrl-D): then nothing was decided.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from smithers_git.errors import NeedsTerminal

if TYPE_CHECKING:
    from questionary import Question

T = TypeVar("T")


def select(title: str, choices: Sequence[tuple[str, T]]) -> T | None:
    """One of `choices` (label, value). Raises NeedsTerminal."""
    _require_terminal(title)
    import questionary

    # The value is a number and not the caller's own: questionary takes None for "the label is the value".
    items = [questionary.Choice(label, value=number) for number, (label, _value) in enumerate(choices)]
    found = _ask(questionary.select(title, choices=items))
    return None if found is None else choices[int(str(found))][1]


def confirm(question: str) -> bool | None:
    """Yes or no; just Enter means no. Raises NeedsTerminal."""
    _require_terminal(question)
    import questionary

    found = _ask(questionary.confirm(question, default=False))
    return None if found is None else bool(found)


def text(question: str) -> str | None:
    """A line of text, which may be empty. Raises NeedsTerminal."""
    _require_terminal(question)
    import questionary

    found = _ask(questionary.text(question))
    return None if found is None else str(found).strip()


def _require_terminal(question: str) -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise NeedsTerminal(
            f"this would have to be asked, but there is no terminal: {question}",
            hint="give the answer as arguments; --help lists them",
        )


def _ask(question: Question) -> object:
    try:
        answer: object = question.unsafe_ask()
    except (KeyboardInterrupt, EOFError):
        return None
    return answer
