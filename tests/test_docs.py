"""What the documentation shows is run, and what it lists is current."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import pytest
from kit import repos, runs

import smithers_git
from smithers_git import errors
from smithers_git.core import codec, events
from smithers_git.core.profile import load_profile
from smithers_git.core.profile_rules import Part, Wait
from smithers_git.core.settings import Settings
from smithers_git.core.trigger import HOOKS
from smithers_git.edge import content
from smithers_git.front.tools.call import TOOLS

pytestmark = pytest.mark.usefixtures("warm_reapers")

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/authoring.md",
    "docs/frames.md",
    "docs/commands.md",
    "docs/triggers.md",
    "docs/unattended.md",
    "docs/agent-driven.md",
    "docs/acp.md",
    "docs/sdk.md",
    "docs/security.md",
    "docs/agents.md",
)
_FENCE = re.compile(r"^```(\w+) (\S+)(?: ends=(\d+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass
class Example:
    """A workflow file of a page."""

    title: str
    source: str
    ends: int
    others: dict[str, str] = field(default_factory=dict)
    """The other files that the page shows."""


def examples(page: str) -> Iterator[Example]:
    text = (DOCS / page).read_text("utf-8")
    blocks = list(_FENCE.finditer(text))
    others = {block[2]: block[4] for block in blocks if block[1] != "python"}
    for block in blocks:
        if block[1] == "python":
            title = re.findall(r"^## (.*)$", text[: block.start()], re.MULTILINE)[-1]
            yield Example(title, block[4], int(block[3] or 0), others)


@pytest.mark.parametrize("example", list(examples("authoring.md")), ids=lambda example: example.title)
def test_every_workflow_in_the_guide_runs(
    example: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    repo = repos.make_repo(tmp_path / "repo")
    repos.commit(repo, {"flow.py": example.source, **example.others})
    monkeypatch.chdir(repo)
    document = runs.Smithers(repo, capsys).json("up", "flow.py", code=example.ends)
    if example.ends == 0:
        assert document["status"] == "finished"


def generated() -> str:
    """docs/commands.md as it should be."""
    module = content.load_module(DOCS / "generate.py", "generate_docs")
    return str(module.page())


def blocks(page: str) -> dict[str, str]:
    """The files that a page shows, by name."""
    return {block[2]: block[4] for block in _FENCE.finditer((DOCS / page).read_text("utf-8"))}


def test_the_profiles_of_the_page_are_valid_and_it_names_every_key() -> None:
    shown = blocks("agents.md")
    assert Settings.model_validate(tomllib.loads(shown["config.toml"])).agents
    for name in ("gnome", "gnome2"):
        assert load_profile(shown[f"{name}.toml"], f"{name}.toml").program
    text = (DOCS / "agents.md").read_text("utf-8")
    tables: list[type[Part]] = [*Part.__subclasses__(), Wait]
    keys = {entry.alias or key for table in tables for key, entry in table.model_fields.items()} - {"name"}
    assert sorted(key for key in keys if not re.search(rf"\b{key}\b", text)) == []


def test_the_ten_line_profile_of_the_page_does_a_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    repos.write(tmp_path, {"bin/gnome": '#!/bin/sh\necho \'{"summary": "planted"}\'\n'})
    (tmp_path / "bin" / "gnome").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    repo = repos.make_repo(tmp_path / "repo", {".smithers/agents/gnome.toml": blocks("agents.md")["gnome.toml"]})
    monkeypatch.chdir(repo)
    smithers = runs.Smithers(repo, capsys)
    smithers.up(body='    return Task("plant", agent="gnome", output=Change, prompt="Plant it.")\n')


def test_the_table_of_profiles_is_current() -> None:
    current = str(content.load_module(DOCS / "generate.py", "generate_docs").agents_page())
    assert (DOCS / "agents.md").read_text("utf-8") == current, "make docs"


def test_the_commands_page_is_current() -> None:
    assert (DOCS / "commands.md").read_text("utf-8") == generated(), "make docs"


def test_the_help_that_is_made_beforehand_is_current() -> None:
    made = str(content.load_module(DOCS / "generate.py", "generate_docs").help_page())
    assert Path(smithers_git.__file__).with_name("help.txt").read_text("utf-8") == made, "make docs"


def test_every_command_and_every_error_is_on_the_commands_page() -> None:
    text = (DOCS / "commands.md").read_text("utf-8")
    assert [name for name in content.command_files() if f"### smithers {name}\n" not in text] == []
    assert [code for code, _, _ in errors.table() if f"| `{code}` |" not in text] == []
    assert [code for code in errors.ExitCode if f"| {int(code)} |" not in text] == []


def test_the_page_about_frames_names_every_event_and_its_sample_is_a_frame() -> None:
    text = (DOCS / "frames.md").read_text("utf-8")
    kinds = [kind.model_fields["type"].default for kind in get_args(get_args(events.Event)[0])]
    assert [kind for kind in kinds if f"`{kind}`" not in text] == []
    sample = next(block[4] for block in _FENCE.finditer(text) if block[2] == "frame.json")
    frame = codec.decode(sample.encode(), "docs/frames.md")
    assert codec.encode(frame).decode() == sample


def test_the_triggers_of_the_page_are_valid_and_it_names_every_event() -> None:
    text = (DOCS / "triggers.md").read_text("utf-8")
    shown = next(block[4] for block in _FENCE.finditer(text))
    assert len(Settings.model_validate(tomllib.loads(shown)).trigger) == 2
    assert [event for event in (*HOOKS, "cron") if f"| `{event}` |" not in text] == []


def test_the_profile_and_the_settings_of_the_page_about_the_protocol_are_valid() -> None:
    blocks = {block[2]: block[4] for block in _FENCE.finditer((DOCS / "acp.md").read_text("utf-8"))}
    assert load_profile(blocks["mine.toml"], "agents/mine.toml").is_protocol_only
    assert Settings.model_validate(tomllib.loads(blocks["config.toml"])).agents["gemini"].ask


def test_the_page_about_the_server_lists_every_tool_and_what_it_does_to_things() -> None:
    text = (DOCS / "agent-driven.md").read_text("utf-8")
    listed = dict(re.findall(r"^\| `(\w+)` \|.*\| (\S.*|)\|$", text, re.MULTILINE))
    words = {"reads": "reads ", "writes": "", "destroys": "asks first "}
    assert listed == {name: words[tool.effect] for name, tool in TOOLS.items()}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", path.read_text("utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_pages_name_only_commands_that_exist(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    named = re.findall(r"(?:^    (?:\$ )?|`)smithers (?:-C \S+ )?([a-z][a-z-]+)", text, re.MULTILINE)
    assert set(named) - content.command_files().keys() == set()


def test_the_readme_lists_exactly_the_built_in_workflows() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    table = text[text.index("## The workflows") : text.index("## How it works")]
    assert sorted(re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE)) == list(content.list_packs(None))


def test_the_readme_gives_every_exit_code() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    told = text[text.index("## Exit codes") : text.index("## More")]
    assert [int(code) for code in errors.ExitCode if not re.search(rf"\b{int(code)}\b", told)] == []
