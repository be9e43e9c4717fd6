"""Power loss: recover from every image that a disk may hold after a crash, with the real commands, and judge.

    make power                                      # the long form
    pytest tests/reliability/test_power.py          # the everyday form

An operation (`power_cases`) is recorded once (`record`). Each image (`images`, `disk`) is laid out at the same place, a
process forked with everything imported recovers, and the oracle of the operation says what does not hold. What fails is
kept: the message names the folder and the command that shows this one image again.
"""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kit import starter
from reliability import power_cases, power_people, power_upkeep
from reliability.disk import Disk, Tree
from reliability.images import Image, drawn, names
from reliability.power_cases import Case, Stage
from reliability.record import Mark, lay_out, record, tree_of

from smithers_git.edge import boot

CASES = power_cases.CASES | power_people.PEOPLE | power_upkeep.MORE
"""All operations by name."""
PATIENCE = 60.0
"""Seconds after which a recovery counts as hung; it takes well under one."""
_OLD = 600.0
"""Seconds for which the machine was down."""


@dataclass(frozen=True)
class Recording:
    """What one operation did, from its beginning to its end."""

    case: str
    base: Tree
    """What was there before."""
    disk: Disk
    marks: list[Mark]
    result: Any
    """What the undisturbed operation has led to."""
    top: str
    """Where it ran. Paths stand in git's own files, so images are laid out there."""


@dataclass
class Count:
    """What was done for one operation in one mode."""

    case: str
    mode: str
    lines: int = 0
    images: int = 0
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0


def make(case: Case, top: Path) -> Recording:
    """Set the stage below `top`, record the operation there, and bring it to its end undisturbed."""
    stage = Stage(top)
    stage.set(case)
    scratch = top / "scratch"
    scratch.mkdir()
    base = tree_of(stage.disk)
    disk, marks = record(stage.disk, stage.repo, (case.commands, case.tweaks), scratch)
    name = f"strict:{len(disk.lines)}:all"
    undisturbed = Recording(case.name, base, disk, marks, None, str(top))
    said = examine(undisturbed, Image(name, disk.image(name), len(disk.lines), len(disk.lines)))
    assert not said["problems"], f"without a crash: {said['problems']}"
    return Recording(case.name, base, disk, marks, said["result"], str(top))


def examine(recording: Recording, image: Image, *, looked: bool = False) -> dict[str, Any]:
    """Lay one image out, recover in a process of its own, and say what does not hold.

    `looked`: have it seem that somebody has put the repository in order since the machine was started.
    """
    stage = Stage(Path(recording.top))
    lay_out(image.tree, stage.disk)
    stage.clear()
    for where, node in image.tree.items():
        if "smithers/" in where and where.endswith("/boot") and node.data:
            (stage.disk / where).write_bytes(b"another start")
        if node.kind != "link":
            os.utime(stage.disk / where, (time.time() - _OLD,) * 2)
    if looked:
        (stage.repo / ".git/smithers/boot").write_text(boot.current().id, "ascii")
    answer = stage.top / "answer"
    answer.unlink(missing_ok=True)
    known = recording.case, recording.marks, recording.result, recording.top
    child = starter._server().Process(target=_child, args=(known, image.first, image.last, dict(os.environ)))
    child.start()
    child.join(PATIENCE)
    if child.exitcode is None:
        child.kill()
        child.join()
        return {"problems": [f"the recovery hangs for {PATIENCE:g} s"], "result": None}
    if not answer.exists():
        return {"problems": [f"the recovery ended with {child.exitcode} and said nothing"], "result": None}
    found = json.loads(answer.read_text("utf-8"))
    assert isinstance(found, dict)
    return found


def _child(known: tuple[str, list[Mark], Any, str], first: int, last: int, environ: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environ)
    case, marks, result, top = known
    stage = Stage(Path(top))
    stage.enter()
    _start_machine()
    found: dict[str, Any] = {"problems": [], "result": None}
    try:
        found["result"] = CASES[case].recover(stage, [m for m in marks if m.at < last], marks, first)
        if result is not None and json.loads(json.dumps(found["result"])) != result:
            found["problems"].append(f"it leads to {found['result']}, not to {result}")
    except AssertionError as error:
        found["problems"].append(str(error))
    except Exception:  # noqa: BLE001 - whatever it is, it is what the image has led to
        found["problems"].append(traceback.format_exc(limit=-6))
    (stage.top / "answer").write_text(json.dumps(found), "utf-8")


def _start_machine() -> None:
    """Have the machine be one that was started just now, for this process and its children of Python."""
    from smithers_git import clock

    began = time.monotonic()
    clock.SystemClock.monotonic = lambda _self: time.monotonic() - began  # type: ignore[method-assign]
    now = boot.Boot(boot.current().id, time.time())
    boot.current = lambda: now  # type: ignore[assignment]


# -- many


def choose(disk: Disk, mode: str, chance: random.Random, most: int, more: int) -> list[str]:
    """The names of at most `most` of the images that differ by one thing, and of `more` drawn ones, in any order."""
    wanted = list(names(disk, mode))
    free = drawn(disk, mode, chance)
    found = [*chance.sample(wanted, min(most, len(wanted))), *(next(free) for _ in range(more))]
    chance.shuffle(found)
    return found


def look(
    recording: Recording, mode: str, chosen: list[str], seed: str, *, until: Callable[[], bool] = lambda: False
) -> Count:
    """Examine these images, each content once between two acknowledgements; keeps those that fail."""
    count = Count(recording.case, mode, lines=len(recording.disk.lines))
    began = time.monotonic()
    seen = set[tuple[int, int]]()
    for name in chosen:
        tree, at = recording.disk.image(name), int(name.split(":")[1])
        key = hash(frozenset(tree.items())), sum(mark.at < at for mark in recording.marks)
        if key in seen:
            continue
        seen.add(key)
        said = examine(recording, Image(name, tree, at, at))
        count.images += 1
        for problem in said["problems"]:
            place = keep(recording)
            again = f"{sys.executable} {Path(__file__)} {place} {name}"
            count.problems.append(f"{recording.case} {name} (seed {seed}): {problem}\n  again: {again}")
        if until():
            break
    count.seconds = time.monotonic() - began
    return count


def keep(recording: Recording) -> Path:
    """Have a recording outlive the test: images are replayed from it."""
    place = Path(os.environ.get("SMITHERS_TEST_KEEP", "/tmp")) / f"power-{recording.case}-{os.getpid()}.pickle"
    if not place.exists():
        place.write_bytes(pickle.dumps(recording))
    return place


def again(place: Path, name: str) -> Iterator[str]:
    """Examine one image of a recording that was kept."""
    recording = pickle.loads(place.read_bytes())
    disk, at = recording.disk, int(name.split(":")[1])
    Stage(Path(recording.top)).top.mkdir(parents=True, exist_ok=True)
    Stage(Path(recording.top)).seal()
    said = examine(recording, Image(name, disk.image(name), at, at))
    yield from said["problems"] or ["all is well"]


def lost(recording: Recording, name: str) -> list[str]:
    """What an image lacks of all that was done by then."""
    disk, at = recording.disk, int(name.split(":")[1])
    whole, image = disk.image(f"strict:{at}:all"), disk.image(name)
    paths = sorted(path for path in whole.keys() | image.keys() if whole.get(path) != image.get(path))
    return [f"{path}: {_told(whole, path)} -> {_told(image, path)}" for path in paths]


def _told(tree: Any, path: str) -> str:
    return "nothing" if path not in tree else f"{tree[path].kind} of {len(tree[path].data)}"


def clear(top: Path) -> None:
    shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    where = Path(sys.argv[1])
    print("\n".join(lost(pickle.loads(where.read_bytes()), sys.argv[2])))
    print("\n".join(again(where, sys.argv[2])))
