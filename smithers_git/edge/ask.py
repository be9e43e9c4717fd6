"""The sole home of questionary: questions to the person at the terminal.

Each returns None when the person gave up (Ctrl-C, Ctrl-D): then nothing was decided.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from smithers_git.errors import NeedsTerminal

if TYPE_CHECKING:
    from questionary import Question

T = TypeVar("T")


def select(title: str, choices: Sequence[tuple[str, T]], default: int = 0) -> T | None:
    """One of `choices` (label, value); the one at position `default` is marked first. Raises NeedsTerminal."""
    _require_terminal(title)
    import questionary

    # The value is a number and not the caller's own: questionary takes None for "the label is the value".
    items = [questionary.Choice(label, value=number) for number, (label, _value) in enumerate(choices)]
    found = _ask(questionary.select(title, choices=items, default=items[default] if default else None))
    return None if found is None else choices[int(str(found))][1]


def several(title: str, choices: Sequence[tuple[str, T]], chosen: Sequence[int] = ()) -> list[T] | None:
    """Any of `choices` (label, value), the positions `chosen` marked at first. Raises NeedsTerminal."""
    _require_terminal(title)
    import questionary

    items = [questionary.Choice(label, value=n, checked=n in chosen) for n, (label, _value) in enumerate(choices)]
    found = _ask(questionary.checkbox(title, choices=items))
    return [choices[number][1] for number in found] if isinstance(found, list) else None


def confirm(question: str, *, default: bool = False) -> bool | None:
    """Yes or no; just Enter means `default`. Raises NeedsTerminal."""
    _require_terminal(question)
    import questionary

    found = _ask(questionary.confirm(question, default=default))
    return None if found is None else bool(found)


def text(question: str, default: str = "", check: Callable[[str], str | None] | None = None) -> str | None:
    """A line of text, which may be empty. `check` says what is wrong with it; None: nothing. Raises NeedsTerminal."""
    _require_terminal(question)
    import questionary

    judge = None if check is None else lambda line: check(line.strip()) or True
    found = _ask(questionary.text(question, default=default, validate=judge))
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
