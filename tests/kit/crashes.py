"""Deaths inside a function that a test patches, at an exact call, as a kill would come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Crash(BaseException):
    """What a kill looks like from inside: nobody handles it."""


def crashing(function: Callable[..., Any], at: int, *, after: bool) -> Callable[..., Any]:
    calls = 0

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at and not after:
            raise Crash
        found = function(*args, **kwargs)
        if calls == at:
            raise Crash
        return found

    return wrapped
