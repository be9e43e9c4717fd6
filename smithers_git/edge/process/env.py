"""The environments that child processes get."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from smithers_git.edge.process.command import capture
from smithers_git.errors import GitError

_AGENT_NAMES = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TZ", "TERM", "COLORTERM",
    "TMPDIR", "XDG_*",
    "http_proxy", "https_proxy", "no_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE",
)  # fmt: skip


def clean_env(base: Mapping[str, str]) -> dict[str, str]:
    """`base` without the variables that bind git to one repository (GIT_DIR, GIT_INDEX_FILE and their kind).

    A git hook runs with them set, and a git that inherits them works on the wrong repository.

    Raises:
        SmithersError: git cannot be run.
    """
    local = _repository_names(base.get("PATH", os.defpath))
    return {name: value for name, value in base.items() if name not in local}


def agent_env(base: Mapping[str, str], passed: Iterable[str]) -> dict[str, str]:
    """What an agent may see of `base`: an allow-list, and the names or patterns (`AWS_*`) in `passed`.

    Raises:
        SmithersError: git cannot be run.
    """
    patterns = (*_AGENT_NAMES, *passed)
    kept = {name: base[name] for name in base if any(fnmatchcase(name, pattern) for pattern in patterns)}
    return clean_env(kept)


@cache
def _repository_names(path: str) -> frozenset[str]:
    """As git itself lists them: git 2.39 has 16, and the list changes between versions."""
    done = capture(["git", "rev-parse", "--local-env-vars"], cwd=Path("/"), env={"PATH": path})
    names = frozenset(done.stdout.decode().split())
    if done.code or not names:
        raise GitError(
            f"git rev-parse --local-env-vars failed: {done.stderr.decode(errors='replace').strip()}",
            hint="check the installation with `git --version`",
        )
    return names
