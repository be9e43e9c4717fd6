"""What a run may spend, and how far it has got: amounts as people write them, limits, figures. Pure."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final, Literal

from smithers_git.core import events as ev
from smithers_git.core.nodes import Budget
from smithers_git.core.state import State

Kind = Literal["budget", "day"]
"""Whose limit it is: that of the run, or that of all runs of a day."""

_MONEY: Final = re.compile(r"\$\s*(\d+(?:\.\d+)?)|(\d+(?:\.\d+)?)\s*usd", re.IGNORECASE)
_TOKENS: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(k|m)?\s*(tok(?:en)?s?)?", re.IGNORECASE)
_POWERS: Final = {"": 1, "k": 1000, "m": 1_000_000}


@dataclass(frozen=True, slots=True)
class Spent:
    """US dollars and tokens that attempts have used, as their agents said."""

    usd: float = 0.0
    tokens: int = 0

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.usd + other.usd, self.tokens + other.tokens)


_SOME: Final = Spent(1.0, 100_000)
"""To suggest where there is nothing to go by: a run got no rest of a budget from the one that it continues."""


@dataclass(frozen=True, slots=True)
class Over:
    """A limit that was reached."""

    kind: Kind
    hard: bool
    """The whole of it is spent: what runs is ended too. Otherwise nothing new starts."""
    text: str
    """The figures, in a sentence."""


def spent_in(events: tuple[ev.Event, ...]) -> Spent:
    """What the attempts that ended in these events had used."""
    usd, tokens = 0.0, 0
    for event in events:
        if isinstance(event, ev.TaskFinished | ev.TaskFailed | ev.TaskInterrupted):
            usd += event.cost or 0.0
            tokens += event.usage.tokens if event.usage else 0
    return Spent(usd, tokens)


def over(spent: Spent, budget: Budget, soft: float, kind: Kind) -> Over | None:
    """Which limit of `budget` was reached, the hard one first; None while there is room below both.

    Args:
        soft: the part of the budget, above 0 and at most 1, from which on nothing new starts.
    """
    today, name = ("", "its budget") if kind == "budget" else (" today", "the budget of the day")
    found = None
    for amount, limit, figures in (
        (spent.usd, budget.usd, f"{dollars(spent.usd)} of {dollars(budget.usd or 0)} spent{today}"),
        (spent.tokens, budget.tokens, f"{spent.tokens} of {budget.tokens} tokens spent{today}"),
    ):
        if limit is None or amount < soft * limit:
            continue
        if amount >= limit:
            return Over(kind, True, f"{figures}: {name} is used up")
        found = found or Over(kind, False, f"{figures}: nothing starts from {soft:.0%} of {name} on")
    return found


def parse(text: str) -> Budget:
    """The budget that `5usd`, `$5`, `200k`, `200000 tokens`, `5usd,1.5M` or `none` stands for; raises ValueError."""
    if text.strip().lower() == "none":
        return Budget()
    usd: float | None = None
    tokens: int | None = None
    for part in text.split(","):
        money, count = _MONEY.fullmatch(part.strip()), _TOKENS.fullmatch(part.strip())
        if money and usd is None:
            usd = float(money[1] or money[2])
        elif count and (count[2] or count[3]) and tokens is None:
            tokens = int(float(count[1]) * _POWERS[(count[2] or "").lower()])
        else:
            raise ValueError(
                f"{text!r} is not a budget: write it like 5usd, 200k (tokens), or 5usd,200k; none for none"
            )
    if usd == 0 or tokens == 0:
        raise ValueError(f"{text!r} leaves nothing to work with; none means no limit")
    return Budget(usd, tokens)


def shown(budget: Budget) -> str:
    """A budget as `parse` reads it."""
    money = [] if budget.usd is None else [f"{budget.usd:.6f}".rstrip("0").rstrip(".") + "usd"]
    return ",".join(money + ([] if budget.tokens is None else [_short(budget.tokens)])) or "none"


def _short(tokens: int) -> str:
    for size, unit in ((1_000_000, "M"), (1000, "k")):
        if tokens % size == 0:
            return f"{tokens // size}{unit}"
    return f"{tokens}tokens"


def dollars(amount: float) -> str:
    """US dollars for a person; cents, and what is less than a cent too when there is nothing else."""
    return f"${amount:.2f}" if amount >= 0.01 or amount == 0 else f"${amount:.2g}"


def merged(below: Budget, above: Budget) -> Budget:
    """`below` with the limits that `above` sets in place of its own."""
    usd = below.usd if above.usd is None else above.usd
    return Budget(usd, below.tokens if above.tokens is None else above.tokens)


def lower(one: Budget, other: Budget) -> Budget:
    """The lower limit of both, each by itself."""
    usd = [limit for limit in (one.usd, other.usd) if limit is not None]
    tokens = [limit for limit in (one.tokens, other.tokens) if limit is not None]
    return Budget(min(usd, default=None), min(tokens, default=None))


def more(spent: Spent, budget: Budget, soft: float) -> Budget:
    """A budget to suggest: twice as much where there is a limit, and more than what is spent by a quarter at least.

    Args:
        soft: the part of a budget from which on nothing starts; there is room below that, too.
    """
    usd = tokens = None
    if budget.usd is not None:
        usd = float(f"{max(2 * budget.usd, 2 * spent.usd, 1.25 * spent.usd / soft):.2g}") or _SOME.usd
    if budget.tokens is not None:
        thousands = -(-spent.tokens // 1000) * 1000
        room = math.ceil(1.25 * spent.tokens / soft / 1000) * 1000
        tokens = max(2 * budget.tokens, 2 * thousands, room) or _SOME.tokens
    return Budget(usd, tokens)


def goes_on(state: State, soft: float) -> str:
    """What goes on with a run that was parked for a budget; `soft` as in `more`."""
    if state.parked_for == "day":
        return f"smithers up --resume {state.run}"
    return raising(state.run, Spent(state.cost, state.tokens), state.budget, soft)


def raising(run: str, spent: Spent, budget: Budget, soft: float) -> str:
    """The command that gives a run more to spend; `soft` as in `more`."""
    return f"smithers up --resume {run} --budget {shown(more(spent, budget, soft))}"
