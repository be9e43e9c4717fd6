"""Where local state lies that belongs to the user, not to one repository."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def folder(environ: Mapping[str, str]) -> Path:
    """`$XDG_STATE_HOME/smithers`; a variable that is no absolute path counts as none (XDG Base Directory 0.8)."""
    own, home = environ.get("XDG_STATE_HOME", ""), environ.get("HOME", "")
    if own.startswith("/"):
        return Path(own) / "smithers"
    return (Path(home) if home.startswith("/") else Path.home()) / ".local" / "state" / "smithers"
