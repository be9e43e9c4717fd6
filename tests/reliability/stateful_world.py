"""What the stateful test sees of a repository: through plain git and the disk, not through our own code."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kit import runs
from kit.repos import git
from reliability.stateful_model import Facts, Key

from smithers_git import cli

RUNS = "refs/smithers/runs/"
REWOUND = "refs/smithers/rewound/"
CODES = (0, 1, 2, 3, 4)
"""What a command may end with; 70 is a bug of ours."""


class Said(runs.Said):
    def __str__(self) -> str:
        return f"exit {self.code}\n{self.out}\n{self.err}"


def smithers(repo: Path, *argv: str) -> Said:
    """One command in this process, in the folder `repo`, with `--json`."""
    out, err = io.StringIO(), io.StringIO()
    before = Path.cwd()
    os.chdir(repo)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli.run([*argv, "--json"])
    finally:
        os.chdir(before)
    said = Said(code, out.getvalue(), err.getvalue())
    assert code in CODES, f"smithers {' '.join(argv)}: {said}"
    json.loads(said.out)
    return said


@dataclass(frozen=True)
class Frame:
    """A frame as git has it."""

    commit: str
    parent: str | None
    number: int
    run: str
    events: tuple[dict[str, Any], ...]


@dataclass
class Seen:
    """One run, by its newest frame."""

    run: str
    tip: str
    frames: list[Frame]
    """Oldest first; of a fork from its parent's first one on."""
    facts: Facts
    outputs: dict[Key, str]
    """Blob of each output that the facts name."""

    @property
    def number(self) -> int:
        return self.frames[-1].number

    def at(self, number: int) -> Facts:
        """The facts of frame `number`."""
        facts = Facts()
        for frame in self.frames[: number + 1]:
            for event in frame.events:
                facts.fold(event)
        return facts


@dataclass
class World:
    """One repository. Frames never change, so each is read once."""

    repo: Path
    _frames: dict[str, Frame] = field(default_factory=dict)
    _seen: dict[str, Seen] = field(default_factory=dict)

    def refs(self) -> dict[str, str]:
        lines = git(self.repo, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        return dict(line.split(" ") for line in lines)

    def runs(self) -> dict[str, Seen]:
        """Every run, folded ones too."""
        refs = self.refs()
        tips = {name.removeprefix(RUNS): oid for name, oid in refs.items() if name.startswith(RUNS)}
        folded = self.archived(refs, "runs")
        return {run: self._run(run, tip) for run, tip in sorted((folded | tips).items())}

    def tails(self, run: str) -> dict[str, str]:
        """What rewinds of a run left, by number."""
        refs, prefix = self.refs(), f"{REWOUND}{run}/"
        loose = {name.removeprefix(prefix): oid for name, oid in refs.items() if name.startswith(prefix)}
        return self.archived(refs, f"rewound/{run}") | loose

    def archived(self, refs: dict[str, str], folder: str) -> dict[str, str]:
        tip = refs.get("refs/smithers/archive")
        rows = git(self.repo, "ls-tree", f"{tip}:{folder}", check=False).splitlines() if tip else []
        return {row.split("\t")[1]: row.split("\t")[0].split(" ")[2] for row in rows}

    def _run(self, run: str, tip: str) -> Seen:
        known = self._seen.get(run)
        if known is not None and known.tip == tip:
            return known
        frames = self.chain(tip)
        facts = Facts()
        for frame in frames:
            for event in frame.events:
                facts.fold(event)
        listed = git(self.repo, "ls-tree", "-r", tip, "outputs/").splitlines()
        blobs = {row.split("\t")[1]: row.split("\t")[0].split(" ")[2] for row in listed}
        outputs = {key: blobs[path] for key, path in facts.outputs.items() if key in facts.done}
        self._seen[run] = Seen(run, tip, frames, facts, outputs)
        return self._seen[run]

    def chain(self, tip: str) -> list[Frame]:
        """The frames up to `tip`, oldest first."""
        if tip not in self._frames:
            self._read(git(self.repo, "rev-list", "--first-parent", tip, *self._known()).splitlines())
        found: list[Frame] = []
        commit: str | None = tip
        while commit is not None:
            frame = self._frames[commit]
            found.append(frame)
            commit = frame.parent if frame.number else None
        found.reverse()
        assert [frame.number for frame in found] == [*range(len(found))], "frames are numbered without a gap"
        return found

    def _known(self) -> list[str]:
        return [f"^{commit}" for commit in self._frames]

    def _read(self, commits: list[str]) -> None:
        asked = "".join(f"{commit}\n{commit}:frame.json\n" for commit in commits)
        done = subprocess.run(
            ["git", "-C", str(self.repo), "cat-file", "--batch"], input=asked.encode(), capture_output=True, check=True
        )
        texts, at = [], 0
        for _ in commits:
            for _ in range(2):
                end = done.stdout.index(b"\n", at)
                header = done.stdout[at:end].split()
                if header[-1] == b"missing":
                    texts.append(b"")
                    at = end + 1
                    continue
                size = int(header[2])
                texts.append(done.stdout[end + 1 : end + 1 + size])
                at = end + size + 2
        for number, commit in enumerate(commits):
            header, frame = texts[2 * number].decode(), texts[2 * number + 1]
            if frame:  # else a commit of the user's, below frame 0
                parents = [line[7:] for line in header.partition("\n\n")[0].splitlines() if line.startswith("parent ")]
                data = json.loads(frame)
                before = parents[0] if data["number"] else None
                self._frames[commit] = Frame(commit, before, data["number"], data["run"], tuple(data["events"]))

    # -- what is asked about

    def moved_on(self, facts: Facts, key: Key) -> bool:
        """Whether the run has other files than those that the approval `key` was asked about."""
        about = facts.shown[key].items()
        return any(self.tree(facts.spaces[space]) != self.tree(commit) for space, commit in about)

    def edited(self, facts: Facts, key: Key, folders: Path) -> bool:
        """Whether a person has written files in the workspaces, below `folders`, that the approval `key` is about."""
        return any(
            git(self.repo, "hash-object", str(path)) != self.blob(facts.spaces[space], path.name)
            for space in facts.shown[key]
            for path in (folders / space).glob("hand-*.txt")
        )

    def tree(self, commit: str) -> str:
        return git(self.repo, "rev-parse", f"{commit}^{{tree}}")

    def blob(self, commit: str, name: str) -> str:
        """The blob of a file at the top of `commit`; "" when it is not there."""
        return git(self.repo, "ls-tree", "--format=%(objectname)", commit, name)

    # -- what is the user's

    def users_own(self) -> dict[str, Any]:
        """The checkout, and in the git folder what is not ours and is no storage of objects and refs."""
        git_dir = self.repo / ".git"
        kept = [git_dir / name for name in ("HEAD", "config", "index", "info/exclude")]
        kept += sorted(path for path in (git_dir / "hooks").glob("*") if path.is_file())
        for folder, folders, names in os.walk(self.repo):
            if Path(folder) == self.repo:
                folders.remove(".git")
            kept += [Path(folder, name) for name in [*folders, *names]]
        found: dict[str, Any] = {
            str(path.relative_to(self.repo)): (path.lstat().st_mode, path.is_file() and path.read_bytes())
            for path in kept
        }
        return found | {name: oid for name, oid in self.refs().items() if "smithers/" not in name}
