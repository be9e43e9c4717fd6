"""The demo as a story: what happens, the command as a person types it, and what it says. Each step is checked."""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from smithers_git.clock import SystemClock
from smithers_git.edge import output
from smithers_git.errors import SmithersError
from smithers_git.service.demo import Ended, Stage, choose_folder

_WIDTH: Final = 80
_LINES: Final = 30
"""Lines of one command's output that are shown."""
_PROMPT: Final = "Every cent of a bill must be paid, by all as evenly as can be"
_RUN: Final = "refs/smithers/runs/demo"
_LOOK: Final = (
    ("every step of the run", f"git log --oneline --first-parent {_RUN}"),
    ("what the reviewer said", f"git show {_RUN}:outputs/000/review@1.json"),
    ("what the run made", "git diff main..smithers/demo/main"),
    ("each attempt at it", "git log -p main..smithers/demo/main"),
)


class Story:
    """Tells and checks. With `--json` the telling goes to stderr and the steps are collected."""

    def __init__(self, stage: Stage, *, as_json: bool) -> None:
        self.stage = stage
        self.steps: list[dict[str, Any]] = []
        self._say = output.note if as_json else output.emit

    def tell(self, title: str, text: str) -> None:
        """A new chapter."""
        self._say(output.paint(title, "bold"))
        for line in textwrap.wrap(text, _WIDTH - 2):
            self._say(f"  {line}")
        self._say("")

    def run(self, line: str, *, code: int = 0, says: Iterable[str] = (), never: Iterable[str] = ()) -> Ended:
        """Run a command line and show it; raises SmithersError when it does not end or say what it should."""
        self.typed(line)
        done = self.stage.shell(line)
        self.show(done.said)
        self.steps.append({"command": line, "exit_code": done.code, "output": done.said})
        missing = [text for text in says if text not in done.said]
        wrong = [text for text in never if text in done.said]
        if done.code != code or missing or wrong:
            told = [f"exit code {done.code} instead of {code}"] if done.code != code else []
            told += [f"{text!r} is missing" for text in missing] + [f"{text!r} is there" for text in wrong]
            raise self.broken(f"`{line}`: {', '.join(told)}")
        return done

    def typed(self, line: str) -> None:
        """Show a command line."""
        for number, part in enumerate(line.split("\n")):
            self._say(output.paint(f"  {'  ' if number else '$ '}{part}", "blue"))

    def show(self, text: str) -> None:
        """Show what a command said."""
        lines = text.rstrip().splitlines()
        for line in lines[:_LINES]:
            self._say("    " + (line if len(line) <= _WIDTH - 4 else line[: _WIDTH - 5] + "…"))
        if len(lines) > _LINES:
            self._say(f"    … {len(lines) - _LINES} more lines")
        self._say("")

    def broken(self, what: str) -> SmithersError:
        return SmithersError(f"the demo did not go as it should: {what}", hint=f"it is all in {self.stage.folder}")


def play(keep: Path | None, *, as_json: bool) -> None:
    """Play the whole demo; raises SmithersError at the first step that is not as the story says."""
    clock = SystemClock()
    began = clock.monotonic()
    stage = Stage(choose_folder(keep), os.environ, clock)
    story = Story(stage, as_json=as_json)
    stage.build()
    _bug(story)
    _loop_and_kill(story)
    _resume(story)
    _approve(story)
    _fork(story)
    _untouched(story)
    seconds = round(clock.monotonic() - began, 1)
    _farewell(story, seconds)
    if as_json:
        look = [line for _, line in _LOOK]
        output.document({"folder": str(stage.repo), "seconds": seconds, "steps": story.steps, "look": look})


def _bug(story: Story) -> None:
    story.tell(
        "1. A project with a bug",
        f"A scratch repository in {story.stage.repo}. Its tests are red: splitting a bill loses cents.",
    )
    story.run("python3 -m unittest 2>&1 | grep -E '^(FAIL|Ran)'", says=["FAIL: test_every_cent_is_paid"])


def _loop_and_kill(story: Story) -> None:
    story.tell(
        "2. A loop that ends when it is true, and a machine that dies",
        "implement -> check -> review, again and again until the tests are green and the reviewer is content. The "
        "agents play a script, so this needs no model; the rest is real. In the second pass, with half a file written, "
        "we pull the plug.",
    )
    line = f"smithers up implement --run-id demo --input '{{\"approve\": true}}' \\\n  -p '{_PROMPT}'"
    story.typed(f"{line} &")
    pid, log = story.stage.background(line)
    said = None
    try:
        said = story.stage.until(log, "implement@1 started", pid)
        story.stage.wait(lambda: story.stage.holds("demo", "bill.py", "divm"), "half a file to be written")
    finally:
        if said is None:
            story.stage.shell(f"kill {pid}")
    story.show(said)
    if "check finished" not in said or "review skipped" not in said:
        raise story.broken("the first pass was not red")
    story.run(f"kill -9 {pid}")
    story.run("smithers ps", says=["demo", "interrupted"])


def _resume(story: Story) -> None:
    story.tell(
        "3. Resume: finished work stays finished",
        "The first pass does not run again; the step that was cut off does. The check gets green, the reviewer finds a "
        "case that nobody tested and sends it back; the third pass satisfies both. Then a person is asked, and the "
        "engine ends: a run that waits costs nothing. Exit code 3 says just that.",
    )
    passes = ["implement@1 started", "review@1 finished", "implement@2 started", "review@2 finished"]
    story.run("smithers up --resume demo", code=3, says=[*passes, "waits for a person"], never=["implement started"])
    frames = _frames(story)
    for node in ("baseline", "implement", "check", "implement@1", "check@1", "implement@2", "check@2"):
        if len(re.findall(rf"(?<![\w@]){re.escape(node)} finished", frames)) != 1:
            raise story.broken(f"{node} did not finish exactly once")


def _approve(story: Story) -> None:
    story.tell("4. Your word", "Look at what is to be approved, then say yes; the run goes on by itself.")
    story.run("smithers diff demo", says=["+    share, rest = divmod(cents, people)"])
    story.run("smithers approve demo --note 'Just what we needed.'", says=["approve@2 of run demo approved"])
    story.stage.wait(lambda: "run finished" in _frames(story), "the approved run to finish")
    story.run("smithers inspect demo", says=["finished", "Just what we needed"])


def _fork(story: Story) -> None:
    story.tell(
        "5. Another path from the same point",
        "Every step is a commit that holds state and files. We fork the run at the end of its first pass, ask for "
        "something else, and compare. The first run does not change by one byte.",
    )
    story.run(f"git log --oneline --first-parent {_RUN}", says=["frame 0: run of implement created"])
    found = re.search(r"^frame (\d+): .*goes on to iteration 1", _frames(story), re.MULTILINE)
    if found is None:
        raise story.broken("no frame says that the loop goes on")
    tips = f"git rev-parse {_RUN} smithers/demo/main"
    before = story.stage.shell(tips)
    other = "-p 'The last ones pay more' --input '{\"approve\": false}'"
    story.run(f"smithers fork demo --frame {found[1]} --run-id fork \\\n  {other}", says=["a fork of demo"])
    story.run("SMITHERS_SCRIPT=.smithers/other.toml smithers up --resume fork", says=["run fork finished"])
    story.run("git diff --stat smithers/demo/main smithers/fork/main", says=["bill.py", "test_bill.py"])
    story.run("git show smithers/fork/main:bill.py | tail -3", says=["(cents + number) // people"])
    if story.stage.shell(tips) != before:
        raise story.broken("the fork changed its parent")


def _untouched(story: Story) -> None:
    story.tell("6. Your checkout", "Runs work in git worktrees of their own. Your branch and files are as they were:")
    done = story.run("git status --short --branch && git log --oneline", says=["A bill, with a bug"])
    if done.said.splitlines()[0] != "## main" or len(done.said.splitlines()) != 2:
        raise story.broken("the checkout was touched")


def _frames(story: Story) -> str:
    """The subjects of the frames of the run, newest first."""
    return story.stage.shell(f"git log --first-parent --format=%s {_RUN}").said


def _farewell(story: Story, seconds: float) -> None:
    story.tell(f"All of it in {seconds:.0f} seconds", "Look around with plain git:")
    lines = [f"cd {story.stage.repo}"]
    for what, line in _LOOK:
        if story.stage.shell(f"{line} >/dev/null").code:
            raise story.broken(f"`{line}` does not work")
        lines += [line, f"    {what}"]
    lines += ["smithers land demo", "    take it: tested on the very commit that lands"]
    story.show("\n".join(lines))
    story.tell("In a repository of yours: smithers init", "")
