"""What a bug of ours leaves behind: a log that is ready to be attached to a report."""

from __future__ import annotations

import os
import platform
import tempfile
import traceback
from pathlib import Path

from smithers_git import __version__
from smithers_git.core.redact import Redactor, secrets_of


def write_log(error: BaseException, doing: str) -> Path:
    """Write a new log file of `error`; `doing` says at what, in words that hold nothing of the user's."""
    lines = [
        f"smithers {__version__}, Python {platform.python_version()}, {platform.platform()}",
        doing,
        "".join(traceback.format_exception(error)),
    ]
    with tempfile.NamedTemporaryFile("w", prefix="smithers-bug-", suffix=".log", delete=False, encoding="utf-8") as log:
        log.write(Redactor(secrets_of(os.environ)).text("\n".join(lines)))
    return Path(log.name)
