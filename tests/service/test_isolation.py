"""Who is isolated, who is refused, and what an isolated agent can and cannot reach. With the real bubblewrap."""

from __future__ import annotations

import json
import shutil
import textwrap
from pathlib import Path
from typing import Any

import pytest
from kit import repos

from smithers_git import cli
from smithers_git.core.profile import load_profile
from smithers_git.core.settings import AgentSettings
from smithers_git.service import isolation
from smithers_git.service.project import Project

BWRAP = shutil.which("bwrap")
needs_bwrap = pytest.mark.skipif(
    BWRAP is None or bool(isolation._try(BWRAP)), reason="bubblewrap is not there, or cannot make namespaces"
)
BARE = 'program = ["sh"]\nargv = ["{script}", "{{prompt}}"]\noutput = {{ mode = "text" }}\nsuccess = {{ exit = [0] }}\n'
FLOW = """\
from pydantic import BaseModel
from smithers_git import Sequence, Task, workflow

class Said(BaseModel):
    text: str

@workflow
def flow(ctx):
    return Task("ask", agent="bare", output=Said, prompt="Do it.", retries=0)
"""


class Stage:
    """A repository with an agent without permissions that runs a shell script of ours."""

    def __init__(self, folder: Path, home: Path, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.repo = repos.make_repo(folder / "repo", {"a.txt": "a\n", "flow.py": FLOW})
        self.home, self.script, self._capsys = home, self.repo / "agent.sh", capsys
        patch.chdir(self.repo)
        self.own("")

    def own(self, text: str) -> None:
        """The user's configuration."""
        (self.home / ".config/smithers/config.toml").write_text(text, "utf-8")

    def does(self, script: str, profile: str = "", settings: str = "") -> None:
        self.script.write_text(textwrap.dedent(script), "utf-8")
        words = BARE.format(script=self.script) + profile
        # Where the agent's own script lies has to be told: it is in the user's checkout.
        text = settings or "[isolate]\n"
        text = text.replace("[isolate]\n", f'[isolate]\nread = ["{self.script}"]\n', 1)
        repos.write(self.repo, {".smithers/agents/bare.toml": words, ".smithers/config.toml": text})

    def up(self, code: int = 0) -> dict[str, Any]:
        self._capsys.readouterr()
        got = cli.run(["up", "flow.py", "--run-id", "r", "--json"])
        out, err = self._capsys.readouterr()
        assert got == code, f"exit {got}\n{out}\n{err}"
        return json.loads(out)

    def out(self) -> str:
        return str(self._capsys.readouterr().out)

    def said(self) -> str:
        chain = Project.open(self.repo).chain("r")
        node = next(iter(chain.state.nodes.values()))
        return str(chain.load(str(node.output))["text"])

    def smithers(self, *argv: str) -> Any:
        self._capsys.readouterr()
        assert cli.run([*argv, "--json"]) == 0
        return json.loads(self._capsys.readouterr().out)


@pytest.fixture
def stage(tmp_path, home, monkeypatch, capsys) -> Stage:
    return Stage(tmp_path, home, monkeypatch, capsys)


@needs_bwrap
def test_an_agent_without_permissions_writes_its_workspace_and_nothing_else(stage: Stage, tmp_path: Path):
    (stage.home / "diary.txt").write_text("dear diary")
    outside = tmp_path / "outside"
    outside.mkdir()
    stage.does(f"""\
        exec 2>&1
        echo new > written.txt
        echo x > {outside}/written.txt
        echo x > /usr/written.txt
        echo kept > "$HOME/own.txt"
        said="$(cat {stage.home}/diary.txt 2>&1 | tail -c 20) procs=$(ls -d /proc/[0-9]* | wc -l)"
        git status --short > status.txt
        git add -A && git commit -qm x && said="$said committed"
        printf '{{"text": "%s"}}' "$(echo $said | tr -d '\\n"')"
        """)
    stage.up()
    assert "committed" not in stage.said()
    assert "dear diary" not in stage.said()
    assert int(stage.said().partition("procs=")[2].split()[0]) < 10
    assert repos.git(stage.repo, "show", "smithers/r/main:written.txt") == "new"
    assert "written.txt" in repos.git(stage.repo, "show", "smithers/r/main:status.txt")
    assert list(outside.iterdir()) == []
    assert not Path("/usr/written.txt").exists()
    assert not (stage.home / "own.txt").exists()
    assert (stage.repo / ".git/smithers/homes/bare/own.txt").read_text() == "kept\n"
    (run,) = stage.smithers("ps")["runs"]
    assert run["bypass"] == "isolated"
    (made,) = stage.smithers("node", "r", "ask")["tries"]
    assert (made["permission"], made["isolated"]) == (None, True)
    assert cli.run(["inspect", "r"]) == 0
    assert "bare (unasked, isolated)" in stage.out()
    assert cli.run(["ps"]) == 0
    assert "UNASKED" in stage.out()


@needs_bwrap
def test_login_and_conversations_stay_where_the_cli_has_them(stage: Stage):
    (stage.home / ".bare").mkdir()
    (stage.home / ".bare" / "login").write_text("ada")
    (stage.home / ".bare.json").write_text("{}")
    stage.does(
        """\
        echo talked > "$HOME/.bare/session"
        printf '{"text": "%s %s"}' "$(cat "$HOME/.bare/login")" "$(cat "$HOME/.bare.json")"
        """,
        '[state]\nenv = "BARE_HOME"\nfolder = ".bare"\nfiles = [".bare.json"]\n',
    )
    stage.up()
    assert stage.said() == "ada {}"
    assert (stage.home / ".bare" / "session").read_text() == "talked\n"


@needs_bwrap
def test_git_can_be_opened_for_commits_and_the_network_closed(stage: Stage):
    stage.does(
        """\
        git -c user.name=A -c user.email=a@b commit -q --allow-empty -m mine && text=committed
        printf '{"text": "%s %s"}' "$text" "$(tail -n +3 /proc/net/dev | wc -l)"
        """,
        settings='[isolate]\ngit = "write"\nnetwork = "none"\n',
    )
    stage.up()
    words = stage.said().split()
    assert words[0] == "committed"
    assert words[-1] == "1"  # its own loopback


@needs_bwrap
def test_a_stop_reaches_the_program_and_leaves_nothing(stage: Stage):
    stage.does("""\
        trap 'echo stopped > stopped.txt; exit 3' TERM
        setsid sleep 271.828 &
        sleep 271.828 & wait
        """)
    flow = FLOW.replace("retries=0", "retries=0, timeout=1")
    (stage.repo / "flow.py").write_text(flow)
    stage.up(code=1)
    assert repos.git(stage.repo, "show", "smithers/r/main:stopped.txt") == "stopped"
    words = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
    assert not [one for one in words if b"271.828" in one]


def test_where_bubblewrap_is_missing_an_agent_without_permissions_works_and_always_refuses(stage: Stage, monkeypatch):
    tools = stage.repo.parent / "bin"
    tools.mkdir()
    for name in ("sh", "git", "cat"):
        (tools / name).symlink_to(shutil.which(name) or name)
    monkeypatch.setenv("PATH", str(tools))
    stage.does("""printf '{"text": "bare"}'""")
    stage.up()
    assert stage.said() == "bare"
    assert stage.smithers("ps")["runs"][0]["bypass"] == "open"
    (found,) = [one for one in stage.smithers("agents", "list")["agents"] if one["name"] == "bare"]
    assert (found["isolated"], "not installed" in found["isolation"]) == (False, True)
    repos.write(stage.repo, {".smithers/config.toml": '[agents.bare]\nisolate = "always"\n'})
    got = cli.run(["up", "flow.py", "--run-id", "s"])
    assert got == 1
    state = Project.open(stage.repo).chain("s").state
    assert "is to be isolated, and bubblewrap (bwrap) is not installed" in str(state.error)


LEVELS = """
program = ["sh"]
argv = ["{permission}", "{prompt}"]
output = { mode = "text" }
success = { exit = [0] }
permission = { default = "edit", edit = {}, full = { argv = ["-y"] } }
"""


@pytest.mark.parametrize(
    ("level", "mode", "machine", "wanted"),
    [
        (None, "auto", False, "open"),
        ("full", "never", False, "refused"),
        ("full", "never", True, "open"),
        (None, "never", False, "open"),
        pytest.param("full", "auto", False, "isolated", marks=needs_bwrap),
        pytest.param(None, "always", False, "isolated", marks=needs_bwrap),
    ],
)
def test_full_permission_is_for_isolated_attempts_and_machines_that_are_sandboxes(
    stage: Stage, level: Any, mode: str, machine: bool, wanted: str
):
    stage.own(f'[isolate]\nmode = "{mode}"\nmachine = {str(machine).lower()}\n')
    found = isolation.standing(
        Project.open(stage.repo), load_profile(LEVELS, "levels.toml"), AgentSettings(permission=level)
    )
    assert ("refused" if found.refused else "isolated" if found.isolated else "open") == wanted
    assert found.permission == (level or "edit")
    if wanted == "refused":
        assert 'permission = "edit" in [agents.levels]' in found.hint
        assert "machine = true" in found.hint


def test_a_repository_does_not_say_that_a_machine_is_a_sandbox(stage: Stage):
    repos.write(stage.repo, {".smithers/config.toml": "[isolate]\nmachine = true\n"})
    assert cli.run(["ps"]) == 0
    assert cli.run(["agents", "list"]) == 1
