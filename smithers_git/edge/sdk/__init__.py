"""The sole home of pydantic-ai: a program that has one turn with a model behind an API, as an agent CLI would.

`python -m smithers_git.edge.sdk --model PROVIDER/MODEL --permission LEVEL` reads a job (core/sdk_agent.py) from
standard input, works in the current folder, and writes JSON lines, which profile.toml explains. It is a program of its
own so that it is ended, watched, isolated and recorded like every other agent. The library is imported there and only
there: it takes more than a second.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

PROFILE: Final = Path(__file__).with_name("profile.toml")
INSTALL: Final = 'pip install "smithers-git[sdk]"'

_CLIENTS: Final = {"anthropic": "anthropic", "openai": "openai", "google": "google.genai"}


def installed() -> str | None:
    """The version of pydantic-ai; None when it is not installed."""
    try:
        return version("pydantic-ai-slim")
    except PackageNotFoundError:
        return None


def has_client(family: str) -> bool:
    """Whether the provider's own library is installed; true where we do not know what it is called."""
    name = _CLIENTS.get(family)
    if name is None:
        return True
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # the package around it is missing
        return False
