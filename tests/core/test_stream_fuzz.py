"""What real CLIs have printed, damaged in every way: nothing crashes, and nothing is taken for a success that is none.

What holds, for each recorded turn of each CLI:

- cut off anywhere before the end of its closing event, it is a failure;
- what was a failure stays one when lines get lost, as long as those that tell of the error arrive;
- it stays one when lines arrive twice, or noise stands between them;
- in any order, mixed with another CLI's, or with lines of any size: a success has had its closing event, whole, and its
  answer stood in what arrived.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smithers_git.core.collect import Collector
from smithers_git.core.fish import documents
from smithers_git.core.lines import MAX_LINE
from smithers_git.core.profile import Profile, load_profile
from smithers_git.core.reply import Reply
from smithers_git.core.stream import Reader

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "tests" / "agents" / "recorded"


@dataclass(frozen=True)
class Recording:
    """One turn of a real CLI."""

    name: str
    profile: Profile
    lines: tuple[bytes, ...]
    exit: int | None
    stderr: bytes = b""
    files: dict[str, str] = field(default_factory=dict)

    def play(self, data: bytes, step: int = 1 << 16) -> Reply:
        """What is made of `data` when the turn ends as it was recorded."""
        reader = Reader(self.profile)
        for start in range(0, len(data), step):
            reader.feed(data[start : start + step])
        return reader.finish(self.exit, self.stderr, self.files)

    @property
    def whole(self) -> bytes:
        return b"".join(line + b"\n" for line in self.lines)

    def closes(self, line: bytes) -> bool:
        """Whether the line is a closing event."""
        try:
            return self.profile.success.event(json.loads(line))
        except ValueError:
            return False

    def tells_of_an_error(self, line: bytes) -> bool:
        found = Collector(self.profile)
        try:
            found.document(json.loads(line))
        except ValueError:
            return False
        return found.error is not None or bool(found.met)


@cache
def profile(name: str) -> Profile:
    return load_profile((ROOT / "agents" / f"{name}.toml").read_text("utf-8"), f"agents/{name}.toml")


def _recordings() -> list[Recording]:
    found = []
    for path in sorted(RECORDED.glob("*.jsonl")):
        exit_code = 0 if path.stem.endswith(("-edit", "-empty", "-reconnects")) else 1
        lines = tuple(path.read_bytes().splitlines())
        found.append(Recording(path.stem, profile(path.stem.partition("-")[0]), lines, exit_code))
    for path in sorted(RECORDED.glob("*/*.json")):
        if not (ROOT / "agents" / f"{path.parent.name}.toml").exists():
            continue
        told = json.loads(path.read_text("utf-8"))
        lines = tuple(line.encode() for line in told["said"])
        name = f"{path.parent.name}-{path.stem}"
        stderr = told["stderr"].encode()
        found.append(Recording(name, profile(path.parent.name), lines, told["exit"], stderr, told["files"]))
    return found


RECORDINGS = _recordings()
# Text has no events: there an exit code that the profile allows is the closing event, and no cut can be seen. The same
# holds where the closing event stands in a file.
EVENTS = [
    one
    for one in RECORDINGS
    if one.profile.output.mode != "text" and one.profile.success.source == "stdout" and one.lines
]
LINES = [one for one in EVENTS if one.profile.output.mode == "jsonl"]
FAILED = [one for one in LINES if one.play(one.whole).error is not None]
NOISE = [
    b"",
    b"   ",
    b"Warning: 256-color support not detected.",
    b"\x1b[?25l\x1b[2K",
    b"\xff\xfe\x00",
    b"{",
    b'{"a": ',
    b"[]",
    b"{}",
]


def any_of(recordings: list[Recording]) -> st.SearchStrategy[Recording]:
    assert recordings
    return st.sampled_from(recordings)


def both(short: int, long: int) -> Callable[[Callable[..., Any]], Any]:
    """A property with a form for every day, and one for `make soak`."""

    def wrap(test: Callable[..., Any]) -> Any:
        def run(form: int) -> None:
            checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
            settings(max_examples=form, deadline=None, suppress_health_check=checks, derandomize=form == short)(test)()

        run.__name__, run.__doc__ = test.__name__, test.__doc__
        return pytest.mark.parametrize("form", [short, pytest.param(long, marks=pytest.mark.soak)])(run)

    return wrap


def test_the_recordings_are_what_they_are_taken_for() -> None:
    assert len(LINES) > 20
    assert len(FAILED) > 10
    ended = {one.name: one.play(one.whole).error is None for one in RECORDINGS}
    assert ended["claude-edit"]
    assert ended["codex-edit"]
    assert not ended["claude-429"]


@both(150, 5_000)
@given(any_of(EVENTS), st.floats(0, 1), st.integers(1, 4096))
def test_a_turn_whose_closing_event_is_cut_off_is_no_success(turn: Recording, part: float, step: int) -> None:
    ends, at = 0, 0
    for line in turn.lines:
        at += len(line)
        if turn.closes(line):
            ends = at
            break
        at += 1
    if turn.profile.output.mode == "json":
        ends = len(turn.whole.rstrip())
    if not ends:
        ends = len(turn.whole)
    cut = min(int(part * ends), ends - 1)
    assert turn.play(turn.whole[:cut], step).error is not None


@both(150, 5_000)
@given(any_of(FAILED), st.data())
def test_a_failure_stays_one_when_other_lines_get_lost(turn: Recording, data: st.DataObject) -> None:
    told = [turn.tells_of_an_error(line) for line in turn.lines]
    kept = data.draw(st.lists(st.booleans(), min_size=len(told), max_size=len(told)))
    left = [line for line, keep, error in zip(turn.lines, kept, told, strict=True) if keep or error]
    assert turn.play(b"\n".join([*left, b""])).error is not None


@both(150, 5_000)
@given(any_of(LINES), st.data())
def test_twice_the_same_line_and_noise_change_nothing(turn: Recording, data: st.DataObject) -> None:
    times = data.draw(st.lists(st.integers(1, 3), min_size=len(turn.lines), max_size=len(turn.lines)))
    noise = data.draw(st.lists(st.sampled_from(NOISE), min_size=len(times), max_size=len(times)))
    right = turn.play(turn.whole)
    doubled = b"".join((line + b"\n") * count for line, count in zip(turn.lines, times, strict=True))
    assert (turn.play(doubled).error is None) == (right.error is None)
    mixed = b"".join(words + b"\n" + line + b"\n" for words, line in zip(noise, turn.lines, strict=True))
    found = turn.play(mixed)
    assert found.answer == right.answer
    assert (found.error and found.error.kind) == (right.error and right.error.kind)
    assert (found.session, found.usage, found.cost) == (right.session, right.usage, right.cost)


@both(150, 5_000)
@given(
    any_of(LINES), any_of(RECORDINGS), st.randoms(use_true_random=False), st.binary(max_size=64), st.integers(1, 4096)
)
def test_in_any_order_and_company_a_success_has_its_closing_event_and_its_answer(
    turn: Recording, other: Recording, chance: Any, junk: bytes, step: int
) -> None:
    pieces = [*turn.lines, *other.lines[: chance.randrange(4)], junk]
    chance.shuffle(pieces)
    pieces = pieces[: chance.randrange(len(pieces) + 1)]
    data = b"\n".join(pieces)
    reply = turn.play(data, step)
    if reply.error is not None:
        assert reply.answer == ""
        return
    arrived = [line for line in data.split(b"\n") if turn.closes(line)]
    assert arrived, "nothing closed it"
    texts = [*(text for line in data.split(b"\n") for text in _texts(line)), *turn.files.values()]
    assert any(part in text for text in texts for part in reply.answer.split("\n") if part.strip())


def _texts(line: bytes) -> list[str]:
    """Every string in a line of JSON."""
    found: list[str] = []
    pending: list[Any] = documents(line.decode("utf-8", "replace"))
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending += value.values()
        elif isinstance(value, list):
            pending += value
        elif isinstance(value, str):
            found.append(value)
    return found


@pytest.mark.parametrize("name", ["claude-edit", "codex-edit"])
def test_a_closing_event_in_a_line_beyond_all_measure_closes_nothing(name: str) -> None:
    turn = next(one for one in RECORDINGS if one.name == name)
    *before, last = turn.lines
    assert turn.closes(last)
    huge = last[:-1] + b', "padding": "' + b"x" * MAX_LINE + b'"}'
    assert turn.play(b"\n".join([*before, huge, b""])).error is not None
    assert turn.play(b"\n".join([*before, b"x" * MAX_LINE, last, b""])).error is None
