"""Skills, servers and starters: what is written into the folders and files of coding agents, and taken back."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest
from kit import repos, runs

from smithers_git.clock import SystemClock
from smithers_git.core.clients import CLIENTS, Client
from smithers_git.core.config_edit import json_text
from smithers_git.service.clients import servers, skills
from smithers_git.service.clients.machine import Machine, chosen
from smithers_git.service.demo import Stage

ROOT = Path(__file__).parents[2]
SKILL = ROOT / "skills" / "smithers"
NAMES = {
    "claude", "codex", "cursor", "copilot", "gemini", "qwen", "pi", "opencode", "amp", "kimi", "cline", "goose",
    "windsurf", "zed", "continue", "hermes", "openclaw",
}  # fmt: skip

CONTENTS = {
    "json": '// mine\n{\n    "theme": "dark",\n    "%s": {"other": {"command": "x"}},\n}\n',
    "toml": 'model = "x" # mine\n\n[mcp_servers.other]\ncommand = "y"\n',
    "yaml": "# mine\nmodel: x\n\n%s:\n  other:\n    command: y\nlast: 1\n",
}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    home = tmp_path / "home"
    home.mkdir()
    return Machine({"HOME": str(home), "PATH": str(tmp_path / "bin")})


def _install(machine: Machine, client: Client) -> None:
    """What the agent's own first start would leave."""
    folder = machine.path(client.folders[0])
    if folder.suffix:
        repos.write(folder.parent, {folder.name: "{}\n"})
    else:
        folder.mkdir(parents=True, exist_ok=True)


def test_every_agent_of_the_list_is_known() -> None:
    assert {client.name for client in CLIENTS} >= NAMES


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_an_agent_is_found_by_its_folder_and_by_its_program(machine: Machine, client: Client, tmp_path: Path) -> None:
    assert machine.found() == []
    _install(machine, client)
    assert client in machine.found()
    program = tmp_path / "bin" / client.programs[0]
    repos.write(program.parent, {program.name: "#!/bin/sh\n"})
    program.chmod(0o755)
    other = Machine({"HOME": str(tmp_path / "elsewhere"), "PATH": str(program.parent)})
    assert [found.name for found in other.found()] == [client.name]


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
@pytest.mark.parametrize("project", [False, True], ids=["user", "project"])
def test_what_is_added_is_removed_to_the_byte(machine: Machine, client: Client, project: bool, tmp_path: Path) -> None:
    _install(machine, client)
    if project:
        machine = Machine(machine.environ, tmp_path / "repo")
        (tmp_path / "repo").mkdir()
    found = machine.servers(client)
    if found and found[0].format in CONTENTS:
        text = CONTENTS[found[0].format]
        repos.write(found[1].parent, {found[1].name: text % found[0].keys[0] if "%s" in text else text})
    before = repos.contents(tmp_path)

    for _ in range(2):
        assert {change.outcome for change in skills.add(machine, [client])} <= {"added", "there"}
        (change,) = servers.add(machine, [client], ["/opt/smithers", "mcp"])
        assert change.outcome == ("unsupported" if found is None else "there" if _ else "added"), change.text
    assert (machine.skills(client) / "smithers" / "SKILL.md").read_text() == (SKILL / "SKILL.md").read_text()
    assert servers.state(machine, client).outcome == ("there" if found else "unsupported")

    servers.remove(machine, [client])
    skills.remove(machine, [client])
    after = repos.contents(tmp_path).items()
    assert {path: what for path, what in after if not path.startswith("home/.local")} == before


def test_an_edit_of_the_user_stays_when_the_server_is_removed(machine: Machine) -> None:
    (client,) = chosen(machine, ["gemini"])
    file = machine.home / ".gemini" / "settings.json"
    repos.write(file.parent, {file.name: "{}\n"})
    servers.add(machine, [client], ["/opt/smithers", "mcp"])
    file.write_text(file.read_text().replace("{", '{\n  "theme": "dark",', 1))
    servers.remove(machine, [client])
    assert json_text.read(file.read_text()).value == {"theme": "dark"}


def test_a_server_of_somebody_else_with_our_name_is_not_touched(machine: Machine) -> None:
    (client,) = chosen(machine, ["cursor"])
    file = machine.home / ".cursor" / "mcp.json"
    text = '{"mcpServers": {"smithers": {"command": "forge"}}}'
    repos.write(file.parent, {file.name: text})
    (change,) = servers.add(machine, [client], ["/opt/smithers", "mcp"])
    assert change.outcome == "failed"
    assert "another server" in change.text
    assert file.read_text() == text


def test_a_server_that_moved_is_renewed_in_place(machine: Machine) -> None:
    (client,) = chosen(machine, ["codex"])
    servers.add(machine, [client], ["/old/smithers", "mcp"])
    (change,) = servers.add(machine, [client], ["/new/smithers", "mcp"])
    assert change.outcome == "changed"
    text = (machine.home / ".codex" / "config.toml").read_text()
    assert text.count("smithers]") == 1
    assert "/old" not in text


def test_a_configuration_that_is_no_json_is_left_alone_and_said_so(machine: Machine) -> None:
    (client,) = chosen(machine, ["zed"])
    file = machine.home / ".config" / "zed" / "settings.json"
    repos.write(file.parent, {file.name: "{ broken"})
    (change,) = servers.add(machine, [client], ["/opt/smithers", "mcp"])
    assert change.outcome == "failed"
    assert "by hand" in change.text
    assert file.read_text() == "{ broken"


def test_a_link_stays_a_link_and_permissions_stay(machine: Machine, tmp_path: Path) -> None:
    (client,) = chosen(machine, ["claude"])
    real = tmp_path / "dotfiles" / "claude.json"
    repos.write(real.parent, {real.name: "{}"})
    real.chmod(0o600)
    link = machine.home / ".claude.json"
    link.symlink_to(real)
    servers.add(machine, [client], ["/opt/smithers", "mcp"])
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o600
    assert "smithers" in real.read_text()


def test_a_skill_that_the_user_has_changed_is_neither_renewed_nor_removed(machine: Machine) -> None:
    (client,) = chosen(machine, ["claude"])
    (added,) = skills.add(machine, [client])
    file = added.path / "SKILL.md"
    file.write_text(file.read_text() + "\nOur own rule.\n")
    (again,) = skills.add(machine, [client])
    assert again.outcome == "failed"
    (removed,) = skills.remove(machine, [client])
    assert removed.kept == ["SKILL.md"]
    assert [path.name for path in added.path.iterdir()] == ["SKILL.md"]


def test_an_older_skill_is_renewed(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    (client,) = chosen(machine, ["qwen"])
    with monkeypatch.context() as patch:
        patch.setattr(skills, "shipped", lambda: {"SKILL.md": "old\n", "gone.md": "old\n"})
        skills.add(machine, [client])
    (change,) = skills.add(machine, [client])
    assert change.outcome == "changed"
    assert {str(p.relative_to(change.path)) for p in change.path.rglob("*.md")} == skills.shipped().keys()


def test_the_verb_says_what_it_did_and_needs_no_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Path(os.environ["HOME"])
    (home / ".claude").mkdir(exist_ok=True)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.chdir(tmp_path)
    smithers = runs.Smithers(tmp_path, capsys)
    (row,) = smithers.json("skills", "add")["skills"]
    assert (row["clients"], row["outcome"]) == (["claude"], "added")
    assert "is there" in smithers("skills", "list").out
    assert smithers.json("skills", "remove")["skills"][0]["outcome"] == "removed"
    (row,) = smithers.json("mcp", "add")["servers"]
    assert (row["clients"], row["outcome"]) == (["claude"], "added")
    (entry,) = json_text.read((home / ".claude.json").read_text()).value["mcpServers"].values()
    assert Path(entry["command"]).name == "smithers"
    assert entry["args"] == ["mcp"]
    assert smithers.json("mcp", "remove")["servers"][0]["outcome"] == "removed"
    assert not (home / ".claude.json").exists()
    said = smithers("skills", "add", "-a", "nobody", code=2)
    assert "known: claude" in said.err
    smithers("skills", "add", "--project", code=1)


def test_starters_name_workflows_that_exist_and_commands_that_parse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    repo = runs.make_repo(tmp_path / "repo")
    repos.write(repo, {".smithers/config.toml": 'check = "true"\n'})
    repos.write(repo, {".smithers/packs/own/workflow.py": runs.HEAD + '    return Task("a", value=1)\n'})
    starter = '[[starter]]\ntitle = "Ours"\nsay = "Do it"\nprompt = "do"\n'
    repos.write(repo, {".smithers/packs/own/starters.toml": starter})
    monkeypatch.chdir(repo)
    smithers = runs.Smithers(repo, capsys)
    found = smithers.json("starters")["starters"]
    assert {each["workflow"] for each in found} >= {"implement", "debug", "kanban", "own"}
    for each in found:
        words = re.findall(r"'[^']*'|\S+", each["command"])
        smithers("graph", *(word.strip("'") for word in words[2:]))
    assert "Ours" in smithers("starters", "own").out
    smithers("starters", "nothing", code=2)


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", sorted(SKILL.rglob("*.md")), ids=lambda page: page.name)
def test_every_command_of_the_skill_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the order of the page, in the repository of the demo, whose agents play a script."""
    stage = Stage(tmp_path, os.environ, SystemClock())
    stage.build()
    text = page.read_text("utf-8")
    files = dict(re.findall(r"^```python (\S+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    repos.write(stage.repo, {"waits.py": FLOW, **files})
    repos.git(stage.repo, "add", "-A")
    repos.git(stage.repo, "commit", "-qm", "more")
    monkeypatch.chdir(stage.repo)
    runs.play(stage.repo, SCRIPT)
    smithers = runs.Smithers(stage.repo, capsys)
    lines = [line for block in blocks(page) for line in block.splitlines()]
    assert lines, f"{page.name} shows no command"
    smithers("up", "waits.py", "--run-id", "run1", code=3)
    if page.name == "landing.md":
        smithers("approve", "run1", "--no-resume")
        smithers("up", "--resume", "run1")
    for line in lines:
        program, *words = shlex.split(line.replace("RUN", "run1"))
        assert program == "smithers"
        said = smithers(*words, code=None)
        assert said.code in ((0, 3) if words[0] in ("logs", "up") else (0,)), f"{line}\n{said.out}{said.err}"
        if words[0] == "approve":
            smithers("logs", "-f", "run1")
        if words[-1] == "-d":
            smithers("cancel", str(smithers.json("ps")["runs"][0]["run"]))


SCRIPT = """\
[[turn]]
write = [{ path = "done.txt", text = "x" }]
answer = { summary = "done", files_changed = [] }
"""
FLOW = """\
from pydantic import BaseModel
from smithers_git import Approval, Sequence, Task, workflow


class Request(BaseModel):
    prompt: str = ""


class Change(BaseModel):
    summary: str


@workflow(input=Request)
def flow(ctx):
    return Sequence(
        Task("implement", agent="script", output=Change, prompt="do it"),
        Approval("ship", title="Ship it?"),
    )
"""
