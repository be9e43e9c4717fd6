"""The proof that a commit which landed is what was tested: a file in the queue's frames, checked offline. Pure."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from smithers_git.core.landing.entry import Entry, Gate, shown
from smithers_git.core.workflow import first_issue
from smithers_git.errors import FormatError

FORMAT: Final = 1


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Pass(_Part):
    """One green run of a gate."""

    tree: str
    gate: Gate
    env: str
    """Digest of the machine and tools that it ran on."""
    frame: int
    """Number of the queue's frame that tells of it."""
    at: float
    """Unix seconds."""
    seconds: float
    by: str
    """The process and host that ran it."""


class Receipt(_Part):
    """What one landed commit was tested with."""

    format: int = FORMAT
    commit: str
    tree: str
    before: str
    """Its first parent: where the target was, or the commit that landed together with it."""
    target: str
    entry: Entry
    passes: tuple[Pass, ...]
    hook: str | None = None
    """What the user's hooks said of the landing commit; None when there were none to run."""
    at: float
    version: str
    """Of smithers."""


def path(commit: str) -> str:
    """Where the receipt of a commit is kept in the queue's tree."""
    return f"receipts/{commit[:2]}/{commit}.json"


def read(data: bytes, where: str) -> Receipt:
    """The receipt in `data`; raises FormatError, naming `where`, when it is damaged or newer than this program."""
    try:
        found = Receipt.model_validate_json(data)
    except ValidationError as error:
        raise FormatError(f"{where} is damaged: {first_issue(error)}", hint="git fsck tells what is damaged") from error
    if found.format > FORMAT:
        raise FormatError(f"{where} is of format {found.format}, newer than {FORMAT}", hint="update smithers-git")
    return found


def contradictions(receipt: Receipt, commit: str, tree: str, parents: tuple[str, ...]) -> list[str]:
    """What does not fit between a receipt and the commit that it is said to be of; none when all does."""
    wrong = []
    if receipt.commit != commit:
        wrong.append(f"its receipt is of another commit, {receipt.commit[:12]}")
    if receipt.tree != tree:
        wrong.append(f"its tree is {tree[:12]}, tested was {receipt.tree[:12]}")
    if not parents or parents[0] != receipt.before:
        wrong.append(f"its first parent is not {receipt.before[:12]}, which it was tested on")
    known = {(one.tree, one.gate) for one in receipt.passes}
    wrong += [
        f"gate {shown(gate)} has no green run on its tree" for gate in receipt.entry.gates if (tree, gate) not in known
    ]
    if not receipt.entry.gates:
        wrong.append("it was tested with no gate at all")
    return wrong
