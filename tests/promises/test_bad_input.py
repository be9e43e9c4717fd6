"""Bad input of every kind: a clear error with a hint and an exit code, and nothing half-made."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kit import engines as kit
from kit import proofs, repos, runs
from kit.repos import git

from smithers_git.core import events as ev
from smithers_git.edge import content
from smithers_git.names import TaskKey


class Stage:
    """A repository, and a look at everything before and after a command."""

    def __init__(self, repo: Path, smithers: runs.Smithers, home: Path) -> None:
        self.repo = repo
        self.smithers = smithers
        self.home = home

    def refused(self, *argv: str, code: int = 1, kind: str | None = None) -> str:
        """Run a command that must be refused without a trace; returns its message."""
        before = repos.contents(self.repo), repos.contents(self.home)
        said = self.smithers(*argv, "--json", code=code)
        assert (repos.contents(self.repo), repos.contents(self.home)) == before, "something was half-made"
        error = said.json["error"]
        assert kind in (None, error["code"])
        assert error["hint"], f"no hint: {error}"
        assert f"error: {error['message']}" in said.err
        assert f"hint: {error['hint']}" in said.err
        return str(error["message"])


@pytest.fixture
def stage(repo: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Stage:
    monkeypatch.chdir(repo)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # a workflow's helpers would leave a __pycache__
    return Stage(repo, runs.Smithers(repo, capsys), home)


FINE = '    return Task("only", run="echo x > x.txt")\n'


# -- what is typed


@pytest.mark.parametrize(
    ("argv", "code", "kind", "words"),
    [
        (("up", "implemnt"), 1, "content", ["implemnt"]),
        (("up", "no/such/flow.py"), 1, "content", ["no/such/flow.py"]),
        (("up", "flow.py", "--input", "{not json"), 2, "usage", ["--input", "JSON"]),
        (("up", "flow.py", "--input", "[1]"), 2, "usage", ["object"]),
        (("up", "flow.py", "--input", '{"prompt": 7}'), 2, "usage", ["prompt"]),
        (("up", "flow.py", "--input", '{"promt": "x"}'), 2, "usage", ["promt"]),
        (("up", "flow.py", "--run-id", "../evil"), 2, "usage", ["../evil"]),
        (("up", "flow.py", "--run-id", "Upper"), 2, "usage", ["Upper"]),
        (("up", "flow.py", "--max-concurrency", "0"), 2, "usage", ["max-concurrency"]),
        (("up", "flow.py", "--accept-change"), 2, "usage", ["--resume"]),
        (("up",), 2, "usage", ["--resume"]),
        (("up", "flow.py", "--resume", "x"), 2, "usage", ["--resume"]),
        (("up", "--resume", "nothing"), 1, "run-not-found", ["nothing"]),
        (("inspect", "nothing"), 1, "run-not-found", ["nothing"]),
        (("approve", "nothing"), 1, "run-not-found", ["nothing"]),
        (("rewind", "nothing", "--frame", "0", "--yes"), 1, "run-not-found", ["nothing"]),
        (("fork", "nothing"), 1, "run-not-found", ["nothing"]),
        (("cancel", "nothing"), 1, "run-not-found", ["nothing"]),
        (("inspectt", "x"), 2, "usage", ["inspectt"]),
    ],
)
def test_what_cannot_be_meant_is_refused(
    stage: Stage, argv: tuple[str, ...], code: int, kind: str, words: list[str]
) -> None:
    stage.smithers.write(FINE)
    message = stage.refused(*argv, code=code, kind=kind)
    assert all(word in message for word in words)


def test_a_prompt_for_a_workflow_that_takes_none_is_refused(stage: Stage) -> None:
    (stage.repo / "flow.py").write_text(runs.HEAD.replace("input=Request", "").replace("workflow()", "workflow") + FINE)
    assert "prompt" in stage.refused("up", "flow.py", "--prompt", "do it", code=2, kind="usage")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[worktree\nsetup = 1", ["config.toml", "line 1"]),
        ("[worktree]\nsettup = 'make'", ["config.toml", "worktree.settup"]),
        ("[run]\nmax_concurrency = 'many'", ["config.toml", "run.max_concurrency"]),
        ("[run]\nmax_concurrency = 0", ["config.toml", "run.max_concurrency"]),
        ("check = 3", ["config.toml", "check"]),
        (b"check = '\xff'", ["config.toml"]),
    ],
)
def test_a_broken_configuration_names_file_and_key(stage: Stage, text: str | bytes, words: list[str]) -> None:
    stage.smithers.write(FINE)
    repos.write(stage.repo, {".smithers/config.toml": text})
    message = stage.refused("up", "flow.py", kind="config")
    assert all(word in message for word in words)


def test_a_broken_agent_profile_names_file_and_key(stage: Stage) -> None:
    stage.smithers.write('    return Task("x", agent="mine", output=Change, prompt="go")\n')
    builtin = content.find_agent("script", None)
    assert builtin is not None
    whole = builtin.read_text("utf-8")
    repos.write(stage.repo, {".smithers/agents/mine.toml": "progam = ['x']\n" + whole})
    message = stage.refused("up", "flow.py", kind="config")
    assert "mine.toml" in message
    assert "progam" in message
    repos.write(stage.repo, {".smithers/agents/mine.toml": "[[["})
    assert "mine.toml" in stage.refused("up", "flow.py", kind="config")


# -- the workflow

BROKEN: dict[str, tuple[str, list[str]]] = {
    "duplicate id": (
        '    return Sequence(\n        Task("a", value=1),\n        Task("a", value=2),  # HERE\n    )\n',
        ["duplicate id 'a'", "flow.py:16"],
    ),
    "unknown needs": ('    return Sequence(Task("aa", value=1), Task("b", value=1, needs="ab"))  # HERE\n', ["'ab'"]),
    "unknown parameter": (
        '    return Sequence(Task("aa", value=1), Task("b", call=lambda ab: ab))  # HERE\n',
        ["'ab'"],
    ),
    "loop in loop": (
        '    one = Loop(Task("a", value=1), until=1, id="in")  # HERE\n    return Loop(one, until=True, id="out")\n',
        ["'in'", "'out'"],
    ),
    "missing output model": ('    return Task("a", agent="script", prompt="x")  # HERE\n', ["no output model"]),
    "missing prompt": ('    return Task("a", agent="script", output=Change)  # HERE\n', ["no prompt"]),
    "prompt file not found": (
        '    return Task("a", agent="script", output=Change, prompt=ctx.prompt("no.md"))  # HERE\n',
        ["no.md"],
    ),
    "unknown agent": ('    return Task("a", agent="clade", output=Change, prompt="x")  # HERE\n', ["'clade'"]),
    "two kinds of work": ('    return Task("a", run="x", value=1)  # HERE\n', ["run and value"]),
    "no work": ('    return Task("a")  # HERE\n', ["'a'"]),
    "an empty command": ('    return Task("a", run=[])  # HERE\n', ["'a'"]),
    "raises": ("    nothing = None\n    return nothing.node  # HERE\n", ["AttributeError", "'node'"]),
    "raises in a helper": (
        "    return helper()\n\n\ndef helper():\n    raise ValueError('no luck')  # HERE\n",
        ["no luck"],
    ),
    "deadlock": (
        '    return Sequence(Task("a", value=1, needs="b"), Task("b", value=1))  # HERE\n',
        ["deadlock", "'a'", "'b'"],
    ),
    "syntax error": ("    return Task('a' value=1)  # HERE\n", ["SyntaxError"]),
    "wrong indentation": ("    x = 1\n  return None  # HERE\n", ["Indentation"]),
    "no node": ("    return 7\n", ["returned 7"]),
    "a child that is no node": ("    return Sequence(Task('a', value=1), 'b')  # HERE\n", ["'b'"]),
    "unknown import": ("    return None\n\n\nimport no_such_module  # HERE\n", ["no_such_module"]),
    "two workflows": ("    return None\n\n\n@workflow\ndef other(ctx):\n    return None\n", ["2 workflows", "other"]),
    "not pure": (
        "    import random\n    return Task(f'a-{random.random()}', value=1)\n",
        ["two renders", "differ"],
    ),
    "a loop that never runs": ('    return Loop(Task("a", value=1), until=False, max_iterations=0)  # HERE\n', ["0"]),
    "a bad node id": ('    return Task("a b", value=1)  # HERE\n', ["'a b'"]),
    "a bad worktree name": ('    return Worktree("main", Task("a", value=1))  # HERE\n', ["'main'"]),
}


@pytest.mark.parametrize("command", ["up", "graph"])
@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_workflow_names_file_and_line_and_makes_no_run(stage: Stage, what: str, command: str) -> None:
    body, words = BROKEN[what]
    path = stage.smithers.write(body)
    message = stage.refused(command, "flow.py")
    lines = path.read_text().splitlines()
    here = next((number for number, line in enumerate(lines, 1) if line.endswith("# HERE")), None)
    assert "flow.py" in message
    assert here is None or f"flow.py:{here}" in message, message
    assert all(word in message for word in words), message


@pytest.mark.parametrize("text", ["", "x = 1\n", "from smithers_git import workflow\n"])
def test_a_file_without_a_workflow_is_told_so(stage: Stage, text: str) -> None:
    (stage.repo / "flow.py").write_text(text)
    assert "no workflow" in stage.refused("up", "flow.py", kind="workflow")


def test_a_broken_template_names_its_own_line(stage: Stage) -> None:
    stage.smithers.write('    return Task("a", agent="script", output=Change, prompt=ctx.prompt("p.md"))\n')
    repos.write(stage.repo, {"prompts/p.md": "one\n{% if %}\n"})
    assert "p.md:2" in stage.refused("up", "flow.py", kind="workflow")
    repos.write(stage.repo, {"prompts/p.md": "one\n{{ nothing }}\n"})
    message = stage.refused("up", "flow.py", kind="workflow")
    assert "nothing" in message
    assert "flow.py:15" in message


def test_a_workflow_that_breaks_in_the_middle_fails_the_run_and_goes_on_when_it_is_mended(stage: Stage) -> None:
    body = """\
    first = ctx.latest(CommandResult, "first")
    return Sequence(
        Task("first", run="echo x >> x.txt"),
        Task("second", run="echo y >> y.txt") if not first else Task(BAD),
    )
"""
    stage.smithers.write(body)
    document = stage.smithers.json("up", "flow.py", code=1)
    assert "flow.py:18" in document["error"]
    assert "BAD" in document["error"]
    assert document["hint"]
    run = document["run"]
    stage.smithers.write(body.replace("Task(BAD)", 'Task("second", run="echo z >> z.txt")'))
    said = stage.smithers("up", "--resume", run, "--json", code=1)
    assert said.json["error"]["code"] == "source-changed"
    assert "changed flow.py" in said.json["error"]["message"]
    stage.smithers("up", "--resume", run, "--accept-change")
    assert proofs.tree(stage.repo, f"smithers/{run}/main")["x.txt"][1] == b"x\n", "the first step ran once"
    [resumed] = [event for event in kit.events(stage.repo, run) if isinstance(event, ev.RunResumed)]
    assert resumed.accepted == ["changed flow.py"]


def test_a_plan_that_makes_new_ids_for_ever_comes_to_an_end(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    from smithers_git.service import engine

    monkeypatch.setattr(engine, "_MOST_ATTEMPTS", 40)
    body = """\
    done = [n for n in range(500) if ctx.latest(Change, f"t{n}")]
    return Sequence(*[Task(f"t{n}", call=lambda: Change(summary="x")) for n in range(len(done) + 1)])
"""
    stage.smithers.write(body)
    document = stage.smithers.json("up", "flow.py", code=1)
    assert document["status"] == "failed"
    assert "40" in document["error"]


# -- what a resume refuses


def test_a_resume_refuses_another_input_and_another_workflow_and_changes_nothing(stage: Stage) -> None:
    stage.smithers.write('    return Sequence(Approval("ship"), Task("only", run="echo x > x.txt"))\n')
    run = stage.smithers.json("up", "flow.py", "--prompt", "one", code=3)["run"]
    message = stage.refused("up", "--resume", run, "--prompt", "two", kind="run-refused")
    assert "another input" in message
    stage.smithers("up", "--resume", run, "--prompt", "one", code=3)
    stage.smithers.write(FINE)
    assert "changed flow.py" in stage.refused("up", "--resume", run, kind="source-changed")
    assert "changed flow.py" in stage.refused("up", "--resume", run, "--detach", kind="source-changed")


def test_a_finished_run_is_left_alone_by_a_resume(stage: Stage) -> None:
    stage.smithers.write(FINE)
    run = stage.smithers.json("up", "flow.py")["run"]
    stage.smithers.write(FINE.replace("echo x", "echo changed"))
    before = proofs.refs(stage.repo), proofs.folder(proofs.space_path(stage.repo, run))
    assert stage.smithers.json("up", "--resume", run)["status"] == "finished"
    assert (proofs.refs(stage.repo), proofs.folder(proofs.space_path(stage.repo, run))) == before


def test_a_run_id_that_is_taken_is_refused(stage: Stage) -> None:
    stage.smithers.write(FINE)
    stage.smithers("up", "flow.py", "--run-id", "mine")
    before = proofs.refs(stage.repo)
    said = stage.smithers("up", "flow.py", "--run-id", "mine", "--json", code=1)
    assert said.json["error"]["code"] == "run-refused"
    assert proofs.refs(stage.repo) == before


# -- the repository


def _not_a_repository(repo: Path) -> None:
    shutil.rmtree(repo / ".git")


def _bare(repo: Path) -> None:
    git(repo, "config", "core.bare", "true")


def _empty(repo: Path) -> None:
    shutil.rmtree(repo / ".git")
    git(repo, "init", "-q")


def _sha256(repo: Path) -> None:
    shutil.rmtree(repo / ".git")
    git(repo, "init", "-q", "--object-format=sha256")
    git(repo, "add", "README.md")
    git(repo, "commit", "-qm", "first")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_not_a_repository, "not in a git repository"),
        (_bare, "bare"),
        (_empty, "no commit"),
        (_sha256, "sha256"),
    ],
)
def test_a_repository_that_cannot_be_served_is_told_so(stage: Stage, make: Callable[[Path], None], words: str) -> None:
    stage.smithers.write(FINE)
    make(stage.repo)
    assert words in stage.refused("up", "flow.py", kind="repository")


def test_a_bare_repository_by_itself_and_a_git_folder_are_told_so(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(stage.repo), "bare.git")
    flow = stage.smithers.write(FINE)
    for place in (tmp_path / "bare.git", stage.repo / ".git", stage.repo / ".git" / "refs"):
        monkeypatch.chdir(place)
        stage.refused("up", str(flow), kind="repository")


def test_a_detached_head_is_as_good_as_a_branch(stage: Stage) -> None:
    git(stage.repo, "checkout", "-q", "--detach")
    stage.smithers.write(FINE)
    before = proofs.users_own(stage.repo)
    run = stage.smithers.json("up", "flow.py")["run"]
    assert proofs.users_own(stage.repo) == before
    assert kit.state_of(stage.repo, run).branch is None
    assert "x.txt" in proofs.tree(stage.repo, f"smithers/{run}/main")


@pytest.mark.parametrize("name", ["with spaces", "grüße 日本", "it's $HOME", "-dash", "semi;colon", "%41", "a'b\"c"])
def test_a_repository_with_a_hard_name_does_everything(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    repo = runs.make_repo(tmp_path / name / "repo é")
    shutil.move(repo, tmp_path / name / name)
    repo = tmp_path / name / name
    monkeypatch.chdir(repo)
    monkeypatch.setenv("SMITHERS_SCRIPT", "")
    runs.play(repo)
    smithers = runs.Smithers(repo, capsys)
    before = {key: what for key, what in proofs.users_own(repo).items() if key != "flow.py"}
    run = smithers.up(body=runs.SHIP, code=3)
    smithers("approve", run, "--no-resume")
    smithers("up", "--resume", run)
    smithers("rewind", run, "--frame", "3", "--yes")
    smithers("up", "--resume", run, code=3)
    child = smithers.json("fork", run)["run"]
    smithers("up", "--resume", child, code=3)
    assert {key: what for key, what in proofs.users_own(repo).items() if key != "flow.py"} == before
    for one in (run, child):
        assert proofs.tree(repo, f"refs/smithers/runs/{one}:code/main")["calc.txt"][1] == b"right\n"
    proofs.files_are_the_frames(repo, run)


def test_a_name_with_a_line_break_is_refused(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = tmp_path / "line\nbreak"
    shutil.move(stage.repo, odd)
    (odd / "flow.py").write_text(runs.HEAD + FINE)
    monkeypatch.chdir(odd)
    before = repos.contents(odd)
    said = stage.smithers("up", "flow.py", "--json", code=1)
    assert said.json["error"]["code"] == "repository"
    assert repos.contents(odd) == before


# -- the disk


def _in_namespace(
    script: str, *args: str | Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a shell script whose mounts nobody else sees and which go when it ends."""
    for argv in (["unshare", "-m"], ["unshare", "-rm"]):
        probe = ["sh", "-c", "mount -t tmpfs -o size=1m tmpfs /mnt && umount /mnt"]
        if shutil.which("unshare") and subprocess.run([*argv, *probe], capture_output=True).returncode == 0:
            return subprocess.run(
                [*argv, "sh", "-eu", "-c", script, "sh", *map(str, args)],
                capture_output=True,
                text=True,
                env={**os.environ, "PY": sys.executable, "PYTHONDONTWRITEBYTECODE": "1", **(env or {})},
                timeout=kit.PATIENCE,
            )
    pytest.skip("nothing can be mounted here: unshare -m and unshare -rm both fail")


def _documents(text: str) -> list[Any]:
    """The JSON documents that stand one behind the other."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        one, at = decoder.raw_decode(text, at)
        found.append(one)
    return found


def test_a_read_only_git_folder_is_told_so_and_can_still_be_looked_at(stage: Stage) -> None:
    stage.smithers.write('    return Sequence(Approval("ship"), Task("only", run="echo x > x.txt"))\n')
    run = stage.smithers.json("up", "flow.py", code=3)["run"]
    before = repos.contents(stage.repo), repos.contents(stage.home)
    done = _in_namespace(
        """
        mount --bind "$1/.git" "$1/.git"; mount -o remount,bind,ro "$1/.git"; cd "$1"
        for command in "up flow.py" "up --resume $2" "approve $2 --no-resume" "fork $2" \\
                "rewind $2 --frame 0 --yes" "ps" "timeline $2"; do
            code=0; $PY -m smithers_git $command --json 2>/dev/null || code=$?; echo $code
        done
        """,
        stage.repo,
        run,
    )
    assert done.returncode == 0, done.stderr
    said = _documents(done.stdout)
    refused, answered = said[:10], said[10:]
    assert refused[1::2] == [1] * 5, done.stdout
    for document in refused[::2]:
        assert document["error"]["code"] in ("repository", "storage"), document
        assert ".git" in document["error"]["message"]
        assert document["error"]["hint"]
    assert answered[1::2] == [0] * 2, done.stdout
    assert answered[0]["runs"][0]["run"] == run
    assert (repos.contents(stage.repo), repos.contents(stage.home)) == before


def test_a_full_disk_is_told_so_and_nothing_is_half_made(stage: Stage) -> None:
    stage.smithers.write(FINE)
    done = _in_namespace(
        """
        mount -t tmpfs -o size=2m tmpfs /mnt; cp -a "$1" /mnt/repo; cd /mnt/repo; git status >/dev/null
        dd if=/dev/zero of=/mnt/fill bs=4k 2>/dev/null || true
        git for-each-ref > "$2/before"; find .git -type f | sort >> "$2/before"
        code=0; $PY -m smithers_git up flow.py --json || code=$?; echo $code
        git for-each-ref > "$2/after"; find .git -type f | sort >> "$2/after"
        rm /mnt/fill
        code=0; $PY -m smithers_git up flow.py --json || code=$?; echo $code
        git fsck --strict --no-dangling 1>&2
        """,
        stage.repo,
        stage.home,
    )
    said = _documents(done.stdout)
    assert said[1] == 1, done.stdout + done.stderr
    assert said[0]["error"]["code"] == "storage"
    assert "space" in said[0]["error"]["message"].lower()
    assert (stage.home / "before").read_text() == (stage.home / "after").read_text()
    assert (said[2]["status"], said[3]) == ("finished", 0)
    assert done.returncode == 0, done.stderr


def test_a_disk_that_fills_up_in_the_middle_loses_nothing_and_the_run_goes_on_when_there_is_room(stage: Stage) -> None:
    body = """\
    return Sequence(
        Task("first", run="echo first >> first.txt; cp $LARGE large.bin", retries=0),
        Task("second", run="echo second >> second.txt", retries=0),
        Task("third", run="test -e large.bin && echo third >> third.txt", retries=0),
    )
"""
    stage.smithers.write(body)
    (stage.home / "large").write_bytes(os.urandom(1 << 20))
    done = _in_namespace(
        """
        mount -t tmpfs -o size=5m tmpfs /mnt; cp -a "$1" /mnt/repo; cd /mnt/repo; git status >/dev/null
        # There is room for the file in the workspace, none for its object and what follows.
        dd if=/dev/zero of=/mnt/fill bs=1k count=$(($(df -k --output=avail /mnt | tail -1) - 1300)) 2>/dev/null
        code=0; $PY -m smithers_git up flow.py --run-id run --json || code=$?; echo $code
        git fsck --strict --no-dangling 1>&2
        rm /mnt/fill
        code=0; $PY -m smithers_git up --resume run --json || code=$?; echo $code
        git fsck --strict --no-dangling 1>&2
        git show smithers/run/main:first.txt smithers/run/main:second.txt smithers/run/main:third.txt > "$2/files"
        git cat-file blob smithers/run/main:large.bin | cmp - "$LARGE"
        """,
        stage.repo,
        stage.home,
        env={"XDG_STATE_HOME": "/mnt/state", "LARGE": str(stage.home / "large")},
    )
    assert done.returncode == 0, done.stderr + done.stdout
    said = _documents(done.stdout)
    assert said[1] == 1, done.stdout
    message = json.dumps(said[0]).lower()
    assert "space" in message, "it says what is wrong"
    assert (said[2]["status"], said[3]) == ("finished", 0), done.stdout + done.stderr
    files = (stage.home / "files").read_text()
    assert files.endswith("second\nthird\n")


def test_a_failed_task_fails_the_run_and_says_what_to_type(stage: Stage) -> None:
    stage.smithers.write('    return Task("only", run="echo no >&2; exit 7", retries=0)\n')
    document = stage.smithers.json("up", "flow.py", code=1)
    assert document["status"] == "failed"
    assert "only" in document["error"]
    assert "7" in document["error"]
    assert f"smithers up --resume {document['run']}" in document["next"]
    assert kit.state_of(stage.repo, document["run"]).node(TaskKey("only")).kind == "exit"
