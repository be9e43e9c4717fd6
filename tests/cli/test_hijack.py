"""A person takes a conversation over at a real terminal, and hands it back; a fake agent has the interface."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from kit import engines, processes, recaller
from kit.repos import git
from kit.runs import Engine, Smithers
from kit.terminal import Terminal

from smithers_git.core import events as ev

FLOW = '    return Task("work", agent="recaller", output=Change, retries=0, prompt="remember #apple")\n'
INTERACTIVE = """\
[interactive]
argv = ["-I", "-S", {program}, {deeds}, "--interactive", "{{session}}"]
"""


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("PROMPT_TOOLKIT_NO_CPR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    path = Path(os.environ["HOME"])
    shutil.rmtree(path / ".recaller", ignore_errors=True)
    return path


def install(smithers: Smithers, deeds: dict[str, str], more: str = INTERACTIVE) -> None:
    folder = smithers.repo.parent
    words = {
        name: json.dumps(str(folder / file)) for name, file in (("program", "recaller.py"), ("deeds", "deeds.json"))
    }
    recaller.install(smithers.repo, deeds, more=more.format(**words))


@pytest.fixture
def run(smithers: Smithers) -> str:
    """A run whose agent was told of an apple, and failed."""
    install(smithers, {"1": "fail"})
    return smithers.up(body=FLOW, code=1)


class Person:
    """Somebody at a terminal who types `smithers hijack RUN work`."""

    def __init__(self, repo: Path, run: str, *options: str) -> None:
        self.at = Terminal(repo, "hijack", run, "work", *options, size=(30, 90))

    def types(self, line: str, *answers: str) -> None:
        self.at.send(line)
        for answer in answers:
            self.at.expect(answer)

    def columns(self) -> int:
        """How wide the agent has its terminal."""
        self.types("look\r", r"heard look (\d+)")
        return int(self.at.match[1])

    def ends(self) -> int | None:
        self.at.expect(pexpect.EOF)
        self.at.close()
        return self.at.exitstatus


@pytest.fixture
def person(smithers: Smithers, run: str) -> Iterator[Person]:
    one = Person(smithers.repo, run, "--no-resume")
    yield one
    one.at.close(force=True)


def kinds(smithers: Smithers, run: str) -> list[str]:
    return [event.type for event in engines.events(smithers.repo, run)]


def test_a_person_goes_on_and_the_task_goes_on_after_them(smithers: Smithers, run: str, home: Path) -> None:
    person = Person(smithers.repo, run)
    person.at.expect("columns=90, lines=30")
    person.types("and #plum\r", "heard and #plum 90")
    person.at.setwinsize(40, 70)
    assert processes.eventually(lambda: person.columns() == 70)  # whoever types this fast may be heard before it
    person.types("write new.txt\r", "heard write new.txt 70")
    person.types("bye\r", "handed back at frame [0-9]+: what was changed is kept", r"Let run \w+ go on\?")
    person.types("y", "goes on in the background")
    assert person.ends() == 0
    assert processes.eventually(lambda: smithers.json("inspect", run)["status"] == "finished", 30)

    assert smithers.json("output", run, "work") == {"summary": "#apple #plum"}
    assert git(smithers.repo, "show", f"smithers/{run}/main:new.txt") == "by hand"
    last = json.loads(recaller.files(home)[0].read_text().splitlines()[-1])
    assert last.startswith("A person worked with you meanwhile.")
    saved = [event for event in engines.events(smithers.repo, run) if isinstance(event, ev.SpaceSaved)]
    assert [event.reason for event in saved] == ["work: by hand"]
    first, second = smithers.json("node", run, "work")["tries"]
    assert (second["session"], second["conversation"]) == (first["session"], "continued")


def test_ctrl_and_bracket_hand_it_back_from_an_agent_that_does_not_end(
    smithers: Smithers, run: str, person: Person
) -> None:
    person.at.expect("talking in")
    person.types("hang\r", "hang")
    assert "owned by process" in smithers("up", "--resume", run, code=None).err
    person.types("\x1d", "no file was changed", "left paused")
    assert person.ends() == 3
    assert smithers.json("inspect", run)["status"] == "failed"
    assert kinds(smithers, run)[-1] == "task.hijacked"


def test_a_kill_while_a_person_works_loses_nothing(smithers: Smithers, run: str, person: Person, home: Path) -> None:
    person.at.expect("talking in")
    person.types("write new.txt\r", "heard write")
    person.at.kill(signal.SIGKILL)
    person.at.close(force=True)
    assert smithers.json("up", "--resume", run)["status"] == "finished"
    assert git(smithers.repo, "show", f"smithers/{run}/main:new.txt") == "by hand"
    assert smithers.json("output", run, "work") == {"summary": "#apple"}
    assert "write new.txt" in recaller.files(home)[0].read_text()


def test_a_stop_from_outside_hands_it_back(smithers: Smithers, run: str, person: Person) -> None:
    person.at.expect("talking in")
    person.types("write new.txt\r", "heard write")
    person.at.kill(signal.SIGTERM)
    person.at.expect("what was changed is kept")
    assert person.ends() == 3


def test_a_live_attempt_is_ended_and_its_conversation_taken_over(smithers: Smithers) -> None:
    install(smithers, {"1": "hang"})
    smithers.write(FLOW)
    half = smithers.repo / ".git" / "smithers" / "runs" / "r" / "live" / "work@0.1.session"
    with Engine(smithers.repo, "flow.py", "--run-id", "r") as engine:
        assert processes.eventually(half.exists, 30)
        engine.process.send_signal(signal.SIGSTOP)
        refused = Person(smithers.repo, "r", "--resume")
        refused.at.expect(f"kill -CONT {engine.process.pid}")
        assert refused.ends() == 1
        engine.process.send_signal(signal.SIGCONT)
        person = Person(smithers.repo, "r", "--resume")
        person.at.expect("ends what runs, and keeps its files")
        person.types("", "talking in")
        assert engine.end() == 143
        person.types("bye\r", "goes on in the background")
        assert person.ends() == 0
    assert processes.eventually(lambda: smithers.json("inspect", "r")["status"] == "finished", 30)
    first, second = smithers.json("node", "r", "work")["tries"]
    assert first["status"] == "interrupted"
    assert second["session"] == first["session"]
    assert git(smithers.repo, "show", "smithers/r/main:half.txt") == "half"


def test_it_is_refused_without_a_terminal_a_conversation_or_an_interface(smithers: Smithers, run: str) -> None:
    said = smithers("hijack", run, "work", code=2)
    assert "only to a terminal" in said.err
    assert f"smithers chat {run} work -f" in said.err
    tip = engines.tip(smithers.repo, run)
    install(smithers, {"1": "fail"}, more="")
    without = Person(smithers.repo, run)
    without.at.expect(r"has no \[interactive\]")
    assert without.ends() == 1
    smithers.up("--run-id", "done", body='    return Task("work", run="true")\n')
    over = Person(smithers.repo, "done")
    over.at.expect("its conversation is over")
    assert over.ends() == 1
    assert engines.tip(smithers.repo, run) == tip
