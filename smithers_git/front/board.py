"""The board of tickets on the terminal: columns side by side, as many as fit, and below them what needs a person."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any, Final

from smithers_git.core.board import COLUMNS, Card, Column
from smithers_git.edge import output
from smithers_git.front.words import plural
from smithers_git.service import board, runs
from smithers_git.service.board import View
from smithers_git.service.project import Project

_STYLES: Final[dict[Column, str]] = {
    "todo": "dim",
    "doing": "blue",
    "review": "yellow",
    "queued": "yellow",
    "landed": "green",
    "blocked": "red",
    "failed": "red",
}
_NARROWEST: Final = 18
"""Characters of a column. Ids are longer sometimes; they are cut here and whole in `--json` and in the lists below."""
_GAP: Final = 2


def _look(project: Project, run: str | None) -> View:
    return board.of_checkout(project) if run is None else board.of_run(project, runs.resolve(project, run))


def document(project: Project, run: str | None) -> dict[str, Any]:
    """The board of a run, or of the checkout when none is named, for a program."""
    return _document(_look(project, run))


def show(project: Project, run: str | None, *, as_json: bool) -> None:
    """Print the board of a run, or of the checkout when none is named."""
    view = _look(project, run)
    if as_json:
        output.document(_document(view))
        return
    if not view.cards:
        output.note("no ticket yet: smithers up tickets-create -p '…' writes some")
    else:
        _head(view)
        _columns(view)
        _reasons(view)
    for note in [*view.notes, *view.broken.values()]:
        output.note(f"note: {note}")
    if view.ahead:
        output.note(f"next: smithers land {view.onto} brings {plural(view.ahead, 'commit')} onto your branch")


def _document(view: View) -> dict[str, Any]:
    columns = {name: [card.model_dump() for card in view.cards if card.column == name] for name in COLUMNS}
    return {
        "run": view.run,
        "status": view.status,
        "onto": view.onto,
        "columns": columns,
        "notes": view.notes,
        "broken": view.broken,
        "ahead": view.ahead,
    }


def _head(view: View) -> None:
    landed = sum(card.column == "landed" for card in view.cards)
    run = [f"run {view.run} is {view.status}"] if view.run else []
    output.emit(", ".join([*run, f"{landed} of {plural(len(view.cards), 'ticket')} landed on {view.onto}"]))


def _columns(view: View) -> None:
    """The columns that hold something; those that do not fit beside each other stand below."""
    filled = [name for name in COLUMNS if any(card.column == name for card in view.cards)]
    wide = output.columns()
    beside = max(1, min(len(filled), (wide + _GAP) // (_NARROWEST + _GAP)))
    rows = -(-len(filled) // beside)
    beside = -(-len(filled) // rows)  # as even as can be: 3 and 2 rather than 4 and 1
    width = min(40, (wide - _GAP * (beside - 1)) // beside)
    for first in range(0, len(filled), beside):
        output.emit()
        piles = [_pile(view, name) for name in filled[first : first + beside]]
        for row in zip_longest(*piles, fillvalue=("", "")):
            cells = [output.paint(output.clip(text, width).ljust(width), style) for text, style in row]
            output.emit((" " * _GAP).join(cells).rstrip())


def _pile(view: View, name: Column) -> list[tuple[str, str]]:
    """A column as (text, style) from top to bottom."""
    cards = [card for card in view.cards if card.column == name]
    lines = [(f"{name.upper()} {len(cards)}", _STYLES[name])]
    for card in cards:
        lines.append((card.ticket, "bold"))
        detail = _detail(card)
        if detail:
            lines.append((f"· {detail}", "dim"))
    return lines


def _detail(card: Card) -> str:
    if card.column == "landed":
        return f"{(card.commit or '')[:8]}{', before' if card.before else ''}"
    if card.column == "blocked":
        return f"by {', '.join(card.by)}"
    if card.column == "failed":
        return plural(card.passes, "pass") if card.passes == 1 else f"{card.passes} passes"
    return card.why


def _reasons(view: View) -> None:
    """Why something does not come home, each in full: that is what somebody has to act on."""
    stuck = [card for card in view.cards if card.column in ("failed", "blocked")]
    if stuck:
        output.emit()
    for card in stuck:
        output.emit(f"{output.paint(card.column, _STYLES[card.column])} {card.ticket}: {' '.join(card.why.split())}")
