"""What `smithers hooks run` calls: apart from `service/hooks`, so that nothing heavy is loaded at every commit."""

from __future__ import annotations

from collections.abc import Sequence

from smithers_git.edge.git import hook


def enter(event: str, args: Sequence[str], given: bytes) -> int:
    """What the shim does, for tools that run their hooks as commands; returns the hook's exit code.

    Args:
        event: name of the hook.
        args: what git gave it.
        given: what git gave it on standard input.
    """
    return hook.enter(event, list(args), given)
