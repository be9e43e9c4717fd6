"""Make docs/reliability.md of the numbers that the parts of the proof left in docs/reliability/, and of their finds.

    make reliability-page

`make reliability` runs the parts first. A test compares the page with this.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
NUMBERS: Final = ROOT / "docs" / "reliability"
FOUND: Final = Path(__file__).parent / "found"
PAGE: Final = ROOT / "docs" / "reliability.md"

PROMISES: Final = {
    "P1": "A frame that was acknowledged survives kill -9 and power loss.",
    "P2": "After any crash, a resume reaches the state of a prefix of the acknowledged frames plus at most one more,"
    " with files and state equal to that frame.",
    "P3": "No finished step runs twice. One that was cut off starts again from its start tree or goes on in its"
    " conversation, and says which.",
    "P4": "Your branches, checkout, index, configuration and hooks change only by a command that says so.",
    "P5": "The index can be deleted at any moment.",
    "P6": "A run has one live owner.",
    "P7": "The merge queue keeps I1 to I7.",
    "P8": "No byte of a known secret reaches a ref, the index or a log.",
    "P9": "Nothing that a person or an agent wrote is lost by cleanup, rewind or landing.",
    "I1": "Every commit that we put on a target has a passing receipt for its exact tree.",
    "I2": "The first-parent history of a target only grows.",
    "I3": "Nothing lands before what it depends on.",
    "I4": "No hunk of an accepted change vanishes.",
    "I5": "The queue makes progress or names what blocks it.",
    "I6": "Your worktrees and other refs are byte-identical before and after a landing.",
    "I7": "Landing twice is impossible.",
}
TESTS: Final = {
    "P1": ("tests/service/test_frames.py", "tests/promises/test_full_disk.py"),
    "P2": ("tests/promises/test_stops.py", "tests/promises/test_rewind_dies.py"),
    "P3": ("tests/promises/test_failure_kills.py", "tests/promises/test_continue.py"),
    "P4": ("tests/promises/test_quiet.py", "tests/cli/test_hook_places.py"),
    "P5": ("tests/promises/test_index.py",),
    "P6": ("tests/promises/test_owners.py",),
    "P7": ("tests/core/landing/test_model.py",),
    "P8": ("tests/promises/test_canary.py", "tests/core/test_redact.py"),
    "P9": ("tests/promises/test_worktrees.py", "tests/service/test_gc.py"),
    "I1": ("tests/core/landing/test_model.py", "tests/cli/test_land.py"),
    "I2": ("tests/core/landing/test_model.py",),
    "I3": ("tests/core/landing/test_model.py",),
    "I4": ("tests/edge/git/test_merge_histories.py",),
    "I5": ("tests/core/landing/test_model.py",),
    "I6": ("tests/promises/test_land_places.py",),
    "I7": ("tests/promises/test_land_dies.py",),
}
"""Ordinary tests that attack a promise beside the parts of the proof; each a file of the tree."""

TOP: Final = """\
# Reliability

Written by `make reliability` from the numbers of its last full run; do not edit.

What `smithers` promises, how each promise is attacked, what that found, and what is not promised. Every random
choice comes from a seed that a failure prints together with the command that replays it.
"""
NOT_PROMISED: Final = """\
## What is not promised

- **More than the sections above say.** They name how many points, images, kills and seeds were tried; the full sizes of
  `make reliability` are larger. The simulation has no programs of agents, slots and journal files. Each of these has
  ordinary tests only. The parts were run on several commits: the 10,000 kills just before frames of functions came to
  be published together, behind which 2,391 found nothing; the two sweeps earlier.
- **Disks that lie.** A disk or a virtual machine that acknowledges a flush and loses it can lose the frames of that
  moment.
- **Power loss on a weaker file system than the models here.** The section on power loss says what the two models
  allow; what neither of them does is untried.
- **Files that no frame holds.** What git ignores is in no frame. What an agent wrote since the last saved step of
  its attempt is in its worktree, and is saved before anything touches it, but not if the disk loses it first.
- **Bytes outside of the workspaces.** A task that changes a database, a server or another folder is not undone by a
  rewind; an attempt that was cut off may have done such a thing, and does it again.
- **A fresh start behind an error of the disk.** An attempt that fails on one, or stops on a full disk, leaves its
  files to the next attempt, and the frame says so. Only what a crash cut off starts again from its start tree.
- **A repository that somebody changes by hand below `.git`.** Deleted objects and refs moved by force are noticed
  and named, not repaired.
- **Files that git ignores, after a power loss.** What set-up made in a worktree, or a copied `.env`, may be empty then,
  and is not healed: nothing holds a copy. So may the worktree of a run that is over; its frames have everything.
- **A bare `git prune` beside a working engine.** Beside `git gc`, with `--prune=now` too, an engine waits and writes
  again what was taken; `git prune` by itself leaves no lock that could be seen.
- **Secrets that nobody told us of.** Values in the environment, in the configuration and with the shape of a key
  are known; others are not.
- **Speed on your machine.** The times are ratios inside one run of one machine.
- **macOS and Windows.** All of this ran on Linux.
"""
AGAIN: Final = """\
## Run it yourself

    make unit                          # the everyday forms of all parts, with everything else
    make simulate SEED=17              # one simulated world, with its scenario
    make sweep power kills stateful    # one part or some of them, at full size
    make reliability                   # all parts at full size, hours; writes this page
"""


def page() -> str:
    """The whole page."""
    reports = sorted(_reports(), key=lambda report: str(report["part"]))
    found = list(_found())
    attempts = {promise: [one["part"] for one in reports if promise in one["attacks"]] for promise in PROMISES}
    rows = [
        [
            promise,
            text,
            ", ".join([*(f"[{part}](#{part})" for part in attempts[promise]), *map(_link, TESTS[promise])]),
            str(sum(one["promise"] == promise for one in found)),
        ]
        for promise, text in PROMISES.items()
    ]
    table = _table(["", "promise", "attacked by", "found"], rows)
    last = sum(int(one["violations"]) for one in reports)
    summary = (
        f"Building and running these attacks has found {len(found)} faults so far. All are mended, each with a test"
        f" ([listed](#found)). Violations in the last full runs, below: {last}.\n"
    )
    parts = [TOP, f"## Promises\n\n{table}\n{summary}"]
    parts += ["## Parts\n", *map(_part, reports), _findings(found), NOT_PROMISED, AGAIN]
    return "\n".join(parts)


def _reports() -> Iterator[dict[str, Any]]:
    for path in NUMBERS.glob("*.json"):
        yield json.loads(path.read_text("utf-8"))


def _found() -> Iterator[dict[str, str]]:
    for path in sorted(FOUND.glob("*.toml")):
        yield from tomllib.loads(path.read_text("utf-8"))["found"]


def _link(path: str) -> str:
    return f"[{Path(path).stem.removeprefix('test_')}](../{path})"


def _part(report: dict[str, Any]) -> str:
    """The section of one part: how, how often, when, and its own table."""
    counts = ", ".join(f"{number:,} {what}" for what, number in report["counts"].items())
    broken = f"; {report['violations']} violations" if report["attacks"] else ""
    seeds = f" Seeds {report['seeds']}." if report["seeds"] else ""
    where = f"Version {report['version']}, {report['day']}, {report['system']}, {report['seconds']:,.0f} s."
    said = f"### {report['part']}\n\n{report['how']}\n\n{counts}{broken}.{seeds} {where}\n"
    if report["rows"]:
        head = list(report["rows"][0])
        said += "\n" + _table(head, [[str(row[name]) for name in head] for row in report["rows"]])
    return said


def _findings(found: list[dict[str, str]]) -> str:
    rows = [[one["promise"], one["what"], one["where"], one["change"], f"`{one['test']}`"] for one in found]
    return "## Found\n\n" + _table(["", "what went wrong", "shown by", "changed", "test"], rows)


def _table(head: list[str], rows: list[list[str]]) -> str:
    def line(cells: list[str]) -> str:
        return "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in cells) + " |\n"

    return line(head) + line(["---"] * len(head)) + "".join(map(line, rows))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
