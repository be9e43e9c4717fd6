"""How runs, nodes, workspaces and refs are spelled. The sole home of the string `refs/smithers`."""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

from smithers_git.errors import UsageError

OURS = "refs/smithers/"
RUNS = OURS + "runs/"
REWOUND = OURS + "rewound/"
QUEUE = OURS + "queue/"
ARCHIVE = OURS + "archive"
BRANCHES = "refs/heads/smithers/"

MAIN = "main"
"""The workspace that a run works in outside of every Worktree."""

_RUN_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}[a-z0-9]|[a-z0-9]")
_ITERATION = re.compile(r"[0-9]{1,9}")  # int() would also take other alphabets, and str.isdigit() what int() refuses
_BEGUN = re.compile(r"(?<=.)(-[0-9a-f]{8})+$")
"""What `run_of` adds: a run begun by one that was begun so has one such ending, not one more."""
_NODE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,119}")
_SPACE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def is_ours(ref: str) -> bool:
    """Whether smithers alone moves the ref of that full name: a run, a queue, the archive, a workspace's branch."""
    return ref.startswith((OURS, BRANCHES))


class TaskKey(NamedTuple):
    """One position in the plan in one pass of its loop: the key of an output."""

    node: str
    iteration: int = 0

    def __str__(self) -> str:
        return f"{self.node}@{self.iteration}" if self.iteration else self.node


def check_run_id(text: str) -> str:
    """Return `text` if it can name a run, else raise UsageError.

    It becomes part of a ref and of a folder name, so the rule is narrower than git check-ref-format's.
    """
    if not _RUN_ID.fullmatch(text):
        raise UsageError(
            f"{text!r} cannot be a run id",
            hint="use 1 to 64 lower-case letters, digits and dashes, starting and ending with a letter or digit",
        )
    return text


def is_node_id(text: str) -> bool:
    """Whether `text` can name a node: letters, digits, and . _ : - after the first character; at most 120."""
    return bool(_NODE_ID.fullmatch(text)) and ".." not in text


def is_space_id(text: str) -> bool:
    """Whether `text` can name a workspace: it is a folder name and the last part of a branch name."""
    return bool(_SPACE_ID.fullmatch(text)) and ".." not in text and not text.endswith((".", ".lock"))


def parse_key(text: str) -> TaskKey:
    """`review` or `review@2` as a key; raises UsageError when the part behind @ is not a number."""
    node, mark, iteration = text.partition("@")
    if mark and not _ITERATION.fullmatch(iteration):
        raise UsageError(f"{text!r} is not a node", hint="write NODE or NODE@ITERATION, say review@2")
    return TaskKey(node, int(iteration) if mark else 0)


def identifier(node: str) -> str:
    """The parameter name under which a prompt function asks for `node`: dashes and the like become _."""
    return re.sub(r"\W", "_", node)


def file_name(node: str) -> str:
    """`node` as one path component that every file system can hold (a colon cannot be in one on Windows)."""
    return node.replace(":", "%3A")


def slug(run: str, space: str) -> str:
    """A name of the workspace that a host and a compose project can have: a-z, 0-9 and dashes, at most 40 characters.

    The digits at its end keep apart what reads the same: run `a`, space `b-c` and run `a-b`, space `c`.
    """
    digest = hashlib.sha256(f"{run}/{space}".encode()).hexdigest()[:6]
    text = re.sub(r"[^a-z0-9]+", "-", f"{run}-{space}".lower()).strip("-")
    return f"{text[:33].rstrip('-')}-{digest}"


def run_of(run: str, key: TaskKey, tip: str) -> str:
    """The id of the run that node `key` of `run` begins, when frame `tip` was the newest: always the same."""
    stem = _BEGUN.sub("", run)[:48].rstrip("-")
    return f"{stem}-{hashlib.sha256(f'{run}/{key}/{tip}'.encode()).hexdigest()[:8]}"


def run_ref(run: str) -> str:
    return RUNS + run


def rewound_ref(run: str, number: int) -> str:
    return f"{REWOUND}{run}/{number}"


def branch_ref(run: str, space: str) -> str:
    return f"{BRANCHES}{run}/{space}"


def queue_ref(target: str) -> str:
    """The frame chain of the merge queue of a target branch (a full ref, or a name below refs/heads/)."""
    return QUEUE + target.removeprefix("refs/heads/")
