"""What an author needs to see of a conflict: git's sentences, and the hunks of both sides."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from smithers_git.edge.git.command import failure, storage_errors, try_git
from smithers_git.edge.git.merge_tree import Conflict
from smithers_git.edge.git.objects import Objects
from smithers_git.edge.process import temporary

LIMIT: Final = 16_000
"""Characters of the text about one conflict; an agent has to read it."""

_LARGEST: Final = 2_000_000
"""Bytes of a file whose hunks are shown."""

_AROUND: Final = 5
_LABELS: Final = ("target", "base", "change")
_FILES: Final = {0o100644, 0o100755}


@storage_errors
def describe(common_dir: Path, objects: Objects, conflict: Conflict, sides: dict[str, str]) -> str:
    """A conflict in at most `LIMIT` characters, and a last line about what was left out.

    Args:
        common_dir: a folder of the repository to run git in.
        objects: where the files are.
        conflict: as git tells it.
        sides: commit id to the word for it, for git's sentences.
    """
    lines = [_worded(sentence, sides) for _, sentence in conflict.notes]
    parts = ["\n".join(lines)]
    for path, stages in sorted(conflict.stages.items()):
        shown = _hunks(common_dir, objects, stages)
        if shown:
            parts.append(f"--- {path}\n{shown}")
    text = "\n\n".join(part for part in parts if part).rstrip()
    if len(text) <= LIMIT:
        return text + "\n"
    return f"{text[:LIMIT].rpartition(chr(10))[0]}\n[... {len(text) - LIMIT} characters more]\n"


def _worded(sentence: str, sides: dict[str, str]) -> str:
    for commit, word in sides.items():
        sentence = sentence.replace(commit, word)
    return sentence


def _hunks(common_dir: Path, objects: Objects, stages: dict[int, tuple[int, str]]) -> str:
    """Both sides of a file, with the base; of one that only one side still has, its change. Empty for other things."""
    if any(mode not in _FILES for mode, _ in stages.values()):
        return ""
    contents = {stage: objects.read_blob(oid) for stage, (_, oid) in stages.items()}
    if any(b"\0" in content or len(content) > _LARGEST for content in contents.values()):
        return ""
    if 2 in contents and 3 in contents:
        return _shorten(_merged(common_dir, [contents[2], contents.get(1, b""), contents[3]]))
    kept = stages.get(2) or stages.get(3)
    if kept is None or 1 not in stages or kept[1] == stages[1][1]:
        return ""
    patch = try_git(common_dir, "diff", "--no-ext-diff", "--no-textconv", "--no-color", stages[1][1], kept[1])
    return os.fsdecode(patch.stdout).partition("\n@@")[2] and "@@" + os.fsdecode(patch.stdout).partition("\n@@")[2]


@storage_errors
def _merged(common_dir: Path, contents: list[bytes]) -> list[str]:
    with temporary.folder() as folder:
        names = [str(Path(folder, label)) for label in _LABELS]
        for name, content in zip(names, contents, strict=True):
            Path(name).write_bytes(content)
        labels = [part for label in _LABELS for part in ("-L", label)]
        arguments = ("merge-file", "-p", "-q", "--zdiff3", *labels, *names)
        done = try_git(common_dir, *arguments)
        if done.code > 127:  # up to there it is the number of conflicts
            raise failure(common_dir, arguments, done)
    return done.stdout.decode("utf-8", "replace").splitlines()


def _shorten(lines: list[str]) -> str:
    """The lines between conflict markers, and a few around them."""
    wanted: set[int] = set()
    start = None
    for number, line in enumerate(lines):
        if re.match(r"<{7} target$", line):
            start = number
        elif start is not None and re.match(r">{7} change$", line):
            wanted.update(range(max(0, start - _AROUND), min(len(lines), number + 1 + _AROUND)))
            start = None
    shown: list[str] = []
    before = -1
    for number in sorted(wanted):
        if number != before + 1:
            shown.append(f"@@ line {number + 1}")
        shown.append(lines[number])
        before = number
    return "\n".join(shown)
