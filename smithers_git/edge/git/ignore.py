"""What git ignores."""

from __future__ import annotations

import os
from collections.abc import Iterable

from smithers_git.edge.git.checkout import Checkout
from smithers_git.edge.git.command import failure


def ignored(checkout: Checkout, names: Iterable[str]) -> set[str]:
    """Those of `names` (relative, folders end in a slash) that git ignores. Tracked files are never ignored."""
    paths = b"".join(os.fsencode(name) + b"\0" for name in names)
    if not paths:
        return set()
    done = checkout.try_git("check-ignore", "-z", "--stdin", input=paths)
    if done.code > 1:  # 1 is: none of them
        raise failure(checkout.path, ("check-ignore",), done)
    return set(os.fsdecode(done.stdout).split("\0")) - {""}


def ignored_matches(checkout: Checkout, patterns: str) -> list[str]:
    """Files that git ignores and that also match the file `patterns`, which is written like a .gitignore."""
    listing = checkout.git("ls-files", "-z", "--others", "--ignored", f"--exclude-from={patterns}")
    matching = [name for name in listing.split("\0") if name and not name.endswith("/")]
    known = ignored(checkout, matching)
    return [name for name in matching if name in known]
