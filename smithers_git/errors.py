"""Every error that smithers reports: what happened, to what, and what to type next.

The command line turns these into text (or JSON) and an exit code in one place, `smithers_git.cli`.
A failed task is data in a frame, never one of these.
"""

from __future__ import annotations

import errno
import re
from enum import IntEnum
from typing import ClassVar, Final


class ExitCode(IntEnum):
    """Exit codes of every command. Scripts may rely on them."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    WAITING = 3
    CANCELLED = 4
    INTERNAL = 70  # EX_SOFTWARE of sysexits.h
    INTERRUPTED = 130
    TERMINATED = 143


# What git says of a file that it could write only in part, and of a ref and an index that it could not write at all: it
# does not say why there, and the disk may have room again before we look (2.39: csum-file.c, refs/files-backend.c).
_FULL: Final = re.compile(
    r"no space left on device|disk quota exceeded|out of diskspace|couldn't write '[^']*\.lock'"
    r"|unable to write new index file",
    re.IGNORECASE,
)


def is_full(error: Exception | str) -> bool:
    """Whether an error, or what a program said of one, is that the disk (or the user's part of it) is full."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return _FULL.search(str(error)) is not None


class SmithersError(Exception):
    """Something the user can understand and act on.

    Args:
        message: one sentence: what happened, and to what.
        hint: what to type next, or what to change; empty when there is nothing to do.
    """

    code: ClassVar[str] = "error"
    when: ClassVar[str] = "a request was refused"
    exit_code: ClassVar[ExitCode] = ExitCode.FAILED

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(SmithersError):
    code = "usage"
    when = "an argument or option cannot be used as given"
    exit_code = ExitCode.USAGE


class ConfigError(SmithersError):
    code = "config"
    when = "a TOML file (configuration, agent profile) is broken or has an unknown or wrong key"


class ContentError(SmithersError):
    code = "content"
    when = "a workflow, agent, pack or hook was not found or could not be loaded"


class WorkflowError(SmithersError):
    code = "workflow"
    when = "a workflow cannot be loaded or rendered; the message names file, line and node"


class RepositoryError(SmithersError):
    code = "repository"
    when = "the repository is missing, bare, empty, read-only or of a kind that cannot be served"


class GitError(SmithersError):
    code = "git"
    when = "a git command failed"


class StorageError(SmithersError):
    code = "storage"
    when = "the disk refused a write: full, read-only or no permission"


class DiskFull(StorageError):
    code = "disk-full"
    when = "the disk is full, or has less room than `[disk] floor` asks for"


class LockTimeout(SmithersError):
    code = "lock-timeout"
    when = "another process holds a lock of ours for too long"


class TooLarge(SmithersError):
    code = "too-large"
    when = "a file in a workspace is too big to be kept in history"


class SetupFailed(SmithersError):
    code = "setup-failed"
    when = "the setup or teardown command of a workspace failed"


class RefMoved(SmithersError):
    """A compare-and-swap lost: someone else moved the ref. The caller reloads, applies again and retries."""

    code = "ref-moved"
    when = "another process wrote to the same run again and again"


class RunNotFound(SmithersError):
    code = "run-not-found"
    when = "no run, or more than one, has that id"


class RunBusy(SmithersError):
    code = "run-busy"
    when = "another live process owns the run"


class RunRefused(SmithersError):
    code = "run-refused"
    when = "the run's state does not allow the request"


class Stale(RunRefused):
    code = "stale"
    when = "what was to be decided has changed since the person was shown it"


class SourceChanged(SmithersError):
    code = "source-changed"
    when = "the workflow's files differ from the ones pinned when the run started"


class FormatError(SmithersError):
    code = "format"
    when = "a frame was written by a newer version, or is damaged"


class TicketError(SmithersError):
    code = "ticket"
    when = "a ticket file cannot be read or written, or tickets do not fit together"


class AgentError(SmithersError):
    code = "agent"
    when = "an agent is not installed, not logged in or its profile cannot be used"


class NoAgentLeft(AgentError):
    code = "no-agent-left"
    when = "every agent that a task may use is out for the run: nobody is logged in, or all refused it"


class NotTrusted(SmithersError):
    code = "not-trusted"
    when = "a hook or a schedule would run something of a repository that the user has not trusted, as it is now"


class HookError(SmithersError):
    code = "hook"
    when = "a git hook cannot be installed or taken away, or what it left for us cannot be read"


class NeedsTerminal(SmithersError):
    code = "needs-terminal"
    when = "a question would have to be asked but there is no terminal"
    exit_code = ExitCode.USAGE


def table() -> list[tuple[str, int, str]]:
    """Rows (code, exit code, when) of every error kind, for the documentation."""
    found: list[tuple[str, int, str]] = []
    pending: list[type[SmithersError]] = [SmithersError]
    while pending:
        kind = pending.pop()
        found.append((kind.code, int(kind.exit_code), kind.when))
        pending.extend(kind.__subclasses__())
    return sorted(found)
