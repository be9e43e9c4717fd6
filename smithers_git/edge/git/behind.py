"""Which checkouts of the user's could not follow a landing: noted until they have.

Such a checkout looks as if somebody had staged the landing's undoing there. Only the note tells the two apart.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from smithers_git.edge.git.checkout import Checkout
from smithers_git.edge.git.durable import put


def note(checkout: Checkout, old: str, new: str) -> None:
    """Note that its branch went from commit `old` to `new`, and its files did not. Raises OSError."""
    path = _path(checkout)
    path.parent.mkdir(parents=True, exist_ok=True)
    put(path, json.dumps({"path": str(checkout.path), "old": old, "new": new}).encode())


def known(checkout: Checkout) -> tuple[str, str] | None:
    """The commits (old, new) of the note; None when there is none."""
    try:
        said = json.loads(_path(checkout).read_bytes())
        return str(said["old"]), str(said["new"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # torn by a power loss
        return None


def forget(checkout: Checkout) -> None:
    """It has followed, or went another way. Raises OSError."""
    _path(checkout).unlink(missing_ok=True)


def _path(checkout: Checkout) -> Path:
    name = hashlib.sha256(os.fsencode(checkout.path)).hexdigest()[:16]
    return checkout.common_dir / "smithers" / "behind" / f"{name}.json"
