"""The `script` agent: a real process that plays turns written in TOML, read through its profile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from smithers_git.core.command_line import Turn, build
from smithers_git.core.events import Usage
from smithers_git.core.profile import load_profile
from smithers_git.core.reply import AgentEvent, Reply
from smithers_git.core.stream import Reader
from smithers_git.edge import player

SCRIPT = Path(__file__).parents[2] / "agents" / "script.toml"


@dataclass
class Played:
    reply: Reply
    events: list[AgentEvent]
    code: int

    @property
    def error(self) -> str:
        assert self.reply.error is not None
        return self.reply.error.message


Play = Callable[..., Played]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@pytest.fixture
def play(folder: Path) -> Play:
    """Play the matching turn of a script in `folder`; keywords become SMITHERS_ variables."""

    def go(turns: str, prompt: str = "Do it.", session: str | None = None, **where: object) -> Played:
        (folder / ".smithers").mkdir(exist_ok=True)
        (folder / ".smithers" / "script.toml").write_text(turns, encoding="utf-8")
        profile = load_profile(SCRIPT.read_text(encoding="utf-8"), str(SCRIPT))
        turn = Turn(
            sys.executable, prompt, str(folder), "", python=sys.executable, player=player.__file__, session=session
        )
        call = build(profile, turn)
        env = {"PATH": os.environ["PATH"]} | {f"SMITHERS_{k.upper()}": str(v) for k, v in where.items()}
        done = subprocess.run(call.argv, cwd=folder, env=env, input=call.stdin, capture_output=True, timeout=60)
        reader = Reader(profile)
        events = reader.feed(done.stdout)
        return Played(reader.finish(done.returncode, done.stderr), events, done.returncode)

    return go


def test_a_turn_edits_files_runs_commands_and_answers(play: Play, folder: Path):
    (folder / "calc.py").write_text("def add(a, b):\n    return a - b\n")
    (folder / "old.txt").write_text("old")
    played = play(
        """
        [[turn]]
        node = "implement"
        say = ["Looking.", "Fixing the sign."]
        edit = [{ path = "calc.py", find = "a - b", replace = "a + b" }]
        write = [{ path = "new/tool.sh", text = "#!/bin/sh\\necho ü\\n", mode = 0o755 }]
        delete = ["old.txt"]
        symlink = [{ path = "link", target = "calc.py" }]
        run = ["sh new/tool.sh", ["sh", "-c", "exit 3"]]
        answer = { summary = "fixed", files_changed = ["calc.py"] }
        usage = { input = 100, output = 20, cached = 50 }
        cost = 0.25
        """,
        node="implement",
    )
    assert played.reply.error is None
    assert json.loads(played.reply.answer) == {"summary": "fixed", "files_changed": ["calc.py"]}
    assert played.reply.usage == Usage(input=100, output=20, cached=50)
    assert played.reply.cost == 0.25
    assert played.reply.session
    assert (folder / "calc.py").read_text() == "def add(a, b):\n    return a + b\n"
    assert (folder / "new" / "tool.sh").stat().st_mode & 0o777 == 0o755
    assert (folder / "link").readlink() == Path("calc.py")
    assert not (folder / "old.txt").exists()
    told = [(event.kind, event.text) for event in played.events]
    assert told[:3] == [("started", ""), ("text", "Looking."), ("text", "Fixing the sign.")]
    assert ("tool", "edit calc.py") in told
    assert ("tool_done", "run 0 ü") in told
    assert ("tool_done", "run 3") in told


def test_deeds_are_done_in_the_order_in_which_they_are_written(play: Play, folder: Path):
    play('[[turn]]\nrun = ["echo 1 >> log"]\nwrite = [{ path = "log", text = "2\\n" }]\ntext = "ok"\n')
    assert (folder / "log").read_text() == "2\n"
    play('[[turn]]\nwrite = [{ path = "log", text = "2\\n" }]\nrun = ["echo 1 >> log"]\ntext = "ok"\n')
    assert (folder / "log").read_text() == "2\n1\n"


MATCHING = """
[[turn]]
node = "implement"
iteration = 1
text = "second pass"
[[turn]]
node = "implement"
attempt = 2
text = "second try"
[[turn]]
node = "implement"
correction = 1
text = "corrected"
[[turn]]
node = "implement"
text = "first"
[[turn]]
node = "ticket-*"
text = "a ticket"
"""


@pytest.mark.parametrize(
    ("where", "answer"),
    [
        ({"node": "implement"}, "first"),
        ({"node": "implement", "iteration": 1}, "second pass"),
        ({"node": "implement", "attempt": 2}, "second try"),
        ({"node": "implement", "correction": 1}, "corrected"),
        ({"node": "ticket-7"}, "a ticket"),
    ],
)
def test_the_first_turn_that_matches_is_played(play: Play, where: dict[str, object], answer: str):
    assert play(MATCHING, **where).reply.answer == answer


def test_a_node_without_a_turn_is_an_error_that_names_it_and_the_script(play: Play):
    played = play(MATCHING, node="review", iteration=2)
    assert played.error == (
        ".smithers/script.toml has no turn for node 'review' (iteration 2, attempt 1, correction 0)"
    )
    assert played.reply.error is not None
    assert played.reply.error.kind == "bad_request"
    assert played.code == 1


def test_the_script_can_stand_elsewhere(play: Play, tmp_path: Path):
    other = tmp_path / "other.toml"
    other.write_text('[[turn]]\ntext = "elsewhere"\n')
    assert play("", script=other).reply.answer == "elsewhere"
    assert f"there is no script {tmp_path}/none.toml" in play("", script=tmp_path / "none.toml").error


BROKEN = [
    ("[[turn]", "this is not TOML"),
    ('[[turn]]\ntxet = "x"\n', "turn 1: unknown key txet"),
    ('[[turn]]\nedit = [{ path = "a", find = "x", replace = "y" }]\n', "No such file"),
    ('[[turn]]\nwrite = [{ path = "a" }]\n', "'text'"),
    ('[[turn]]\nwrite = [{ path = "a", text = "xx" }]\nedit = [{ path = "a", find = "x", replace = "" }]\n', "2 times"),
    ('[[turn]]\nwrite = [{ path = "../a", text = "x" }]\n', "../a is outside the working folder"),
    ('[[turn]]\nwrite = [{ path = "/tmp/a", text = "x" }]\n', "/tmp/a is outside the working folder"),
    ('[[turn]]\nsymlink = [{ path = "l", target = ".." }]\nwrite = [{ path = "l/a", text = "" }]\n', "outside the"),
    ('[[turn]]\nrun = [["no-such-program"]]\n', "no-such-program"),
    ('[[turn]]\nexpect = "the magic word"\n', "does not hold 'the magic word'"),
]


@pytest.mark.parametrize(("script", "message"), BROKEN, ids=[row[1] for row in BROKEN])
def test_a_script_that_cannot_be_played_says_why(play: Play, script: str, message: str):
    assert message in play(script).error


def test_the_prompt_is_there_to_be_checked_whole(play: Play):
    prompt = "x" * 300_000 + "the magic wörd"
    assert play('[[turn]]\nexpect = ["the magic wörd", "xxx"]\ntext = "ok"\n', prompt).reply.answer == "ok"


@pytest.mark.parametrize("kind", ["limit", "overload", "auth", "refusal", "bad_request", "crash"])
def test_a_turn_can_fail_in_every_way_that_a_cli_does(play: Play, kind: str):
    reply = play(f'[[turn]]\nfail = {{ kind = "{kind}", message = "no luck", retry_after = 7 }}\n').reply
    assert reply.error is not None
    assert (reply.error.kind, reply.error.message) == (kind, "no luck")
    assert reply.error.retry_after == (7 if kind in ("limit", "overload") else None)


def test_a_turn_without_an_answer_is_empty(play: Play):
    reply = play('[[turn]]\nsay = "hm"\n').reply
    assert reply.error is not None
    assert reply.error.kind == "empty"


def test_an_exit_ends_it_at_once_as_a_crash_does(play: Play, folder: Path):
    played = play('[[turn]]\nexit = 9\nwrite = [{ path = "a", text = "x" }]\ntext = "never"\n')
    assert played.code == 9
    assert played.reply.error is not None
    assert played.reply.error.kind == "crash"
    assert not (folder / "a").exists()


def test_a_resumed_conversation_keeps_its_id(play: Play):
    first = play('[[turn]]\ntext = "ok"\n').reply
    again = play('[[turn]]\ntext = "ok"\n', session=first.session).reply
    other = play('[[turn]]\ntext = "ok"\n').reply
    assert again.session == first.session
    assert other.session != first.session


def test_a_turn_can_hang_until_it_is_ended(folder: Path):
    script = folder / "s.toml"
    script.write_text('[[turn]]\nsay = "thinking"\nhang = true\n')
    argv = [sys.executable, "-I", "-S", player.__file__]
    with subprocess.Popen(
        argv, cwd=folder, env={"SMITHERS_SCRIPT": str(script)}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert b"session" in process.stdout.readline()
        assert b"thinking" in process.stdout.readline()
        assert process.poll() is None
        process.terminate()
        assert process.wait(20) == -signal.SIGTERM
