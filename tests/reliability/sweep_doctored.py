"""Ways in which the product is broken on purpose: the oracle has to see each of them."""

from __future__ import annotations

import atexit
import os
from pathlib import Path
from typing import Any

from smithers_git.edge import index, overlay
from smithers_git.edge.git.objects import Objects
from smithers_git.service.frames import Chain


def acknowledges_before_it_is_there() -> None:
    """The frame is written, and no ref holds it."""

    def advance(self: Objects, name: str, expected: str | None, new: str, *, late: bool = False) -> None:
        return None

    Objects.advance = advance  # type: ignore[method-assign]


def forgets_what_was_decided() -> None:
    """A frame is left out."""
    real = Chain.commit

    def commit(self: Chain, write: Any = None, *, late: bool = False) -> str | None:
        self._pending.clear()
        return real(self, write, late=late)

    Chain.commit = commit  # type: ignore[method-assign]


def touches_the_users_files() -> None:
    Path("README.md").write_text("something else\n")


def leaves_a_lock() -> None:
    Path(".git/index.lock").touch()


def lies_in_the_index() -> None:
    """A row says that it reflects the tip, and does not."""
    real = index.row_of

    def row_of(state: Any, tip: str) -> Any:
        row = real(state, tip)
        row.done += 1
        return row

    index.row_of = row_of


def says_nothing_of_an_error() -> None:
    """What went wrong is passed over, and all is well."""
    overlay.write_new = lambda target, text: True  # type: ignore[assignment]


def breaks_down() -> None:
    """A bug of ours."""
    raise RuntimeError("broken")


def dies_with_a_half_written_object() -> None:
    folder = Path(".git/objects/00")
    folder.mkdir(exist_ok=True)
    (folder / ("0" * 38)).write_bytes(b"torn")


def runs_a_step_again() -> None:
    """The work of a finished step is done once more after the last frame."""
    atexit.register(lambda: Path(os.environ["SMITHERS_SCRIPT"]).with_name("ledger").open("a").write("made\n"))
