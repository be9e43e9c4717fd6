"""What agents and commands said: from the frames, and from the local files of attempts that run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from smithers_git.core.acp import rpc
from smithers_git.core.acp.read import Scribe
from smithers_git.core.attempts import Attempt
from smithers_git.core.lines import Lines, strip_escapes
from smithers_git.core.profile import Profile, load_profile
from smithers_git.core.reply import AgentEvent
from smithers_git.core.stream import Reader
from smithers_git.edge.git.entries import TREE
from smithers_git.service import pools
from smithers_git.service.project import Project


def stored(project: Project, tree: str) -> dict[str, list[str]]:
    """Name of an attempt to the blobs with what it said, in order, for every attempt whose transcript `tree` holds."""
    objects = project.objects
    top = objects.find(tree, "transcripts")
    found: dict[str, list[str]] = {}
    for folder in objects.read_tree(top).values() if top else ():
        for name, attempt in objects.read_tree(folder.oid).items():
            if attempt.mode == TREE:
                chunks = objects.read_tree(attempt.oid)
                found.setdefault(name, []).extend(chunks[chunk].oid for chunk in sorted(chunks))
    return found


def live_path(project: Project, run: str, attempt: Attempt) -> Path:
    """The local file that grows while the attempt runs, and is gone after it."""
    return project.run_dir(run) / "live" / f"{attempt.transcript}.jsonl"


def read_live(path: Path, offset: int = 0) -> bytes:
    """What a live file holds from `offset` on; nothing when the attempt is over."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read()
    except FileNotFoundError:
        return b""


def profile_of(project: Project, tree: str, agent: str) -> Profile:
    """The profile that the run was started with; the one in use now where the frame has none. Raises AgentError."""
    blob = project.objects.find(tree, f"source/agents/{agent}.toml")
    if blob is None:
        return pools.profile(project, agent)
    text = project.objects.read_blob(blob).decode("utf-8", "replace")
    return load_profile(text, f"source/agents/{agent}.toml")


@dataclass(slots=True)
class Interpreter:
    """Makes a transcript readable, as it comes: JSON lines by the agent's own event rules, everything else as it is.

    Lines of the Agent Client Protocol mean the same for every agent, and need no rules.
    """

    profile: Profile | None
    """None for a command, whose output is text."""
    _lines: Lines = field(default_factory=Lines)
    _reader: Reader | None = None
    _scribe: Scribe = field(default_factory=Scribe)

    def __post_init__(self) -> None:
        if self.profile is not None and self.profile.output.mode == "jsonl" and self.profile.events:
            self._reader = Reader(self.profile)

    def feed(self, data: bytes) -> list[AgentEvent]:
        """What the next bytes say."""
        return [event for line in self._lines.feed(data) for event in self._line(line)]

    def finish(self) -> list[AgentEvent]:
        """What a last line without its end says."""
        return [event for line in self._lines.flush() for event in self._line(line)]

    def _line(self, line: str) -> list[AgentEvent]:
        if self.profile is not None and '"jsonrpc"' in line and rpc.decode(line):
            return self._scribe.line(line)
        if self._reader is not None and line.startswith(("{", "[")):
            return self._reader.feed(line.encode() + b"\n")
        text = strip_escapes(line).rstrip()
        return [AgentEvent("text" if self._reader is None else "other", text)] if text else []
