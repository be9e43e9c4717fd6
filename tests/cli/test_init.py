"""`smithers init`: a commented configuration with what was found; what exists is never touched."""

from __future__ import annotations

import os
import shutil
import tomllib
from pathlib import Path

import pytest
from kit import perms, repos, runs

from smithers_git.core.settings import Settings
from smithers_git.edge import content

CONFIG = ".smithers/config.toml"


@pytest.fixture(autouse=True)
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with git and sh alone, so that agents of this machine do not count."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("git", "sh"):
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(folder))
    return folder


def install(folder: Path, name: str) -> None:
    (folder / name).write_text("#!/bin/sh\n", encoding="utf-8")
    (folder / name).chmod(0o755)


def settings(repo: Path) -> Settings:
    return Settings.model_validate(tomllib.loads((repo / CONFIG).read_text("utf-8")))


def test_the_check_that_was_found_is_shown_and_written_down(smithers: runs.Smithers) -> None:
    repos.write(smithers.repo, {"Makefile": "test:\n\ttrue\n"})
    said = smithers("init").out
    assert "check  make test (detected)" in said
    assert settings(smithers.repo).check == "make test"


def test_without_a_check_the_line_is_an_example_and_init_says_what_to_do(smithers: runs.Smithers) -> None:
    said = smithers("init").out
    assert 'set check = "…"' in said
    assert settings(smithers.repo).check is None
    assert '# check = "make test"' in (smithers.repo / CONFIG).read_text("utf-8")


def test_no_agent_is_needed_and_init_says_how_to_get_one(smithers: runs.Smithers) -> None:
    said = smithers("init").out
    assert "claude: not installed; npm install -g @anthropic-ai/claude-code" in said
    assert "no agent is installed yet" in said
    assert "next:  smithers demo" in said
    assert settings(smithers.repo).pools == {}


def test_installed_agents_fill_the_pools_and_another_one_reviews(smithers: runs.Smithers, programs: Path) -> None:
    install(programs, "claude")
    install(programs, "codex")
    document = smithers.json("init")
    pools = settings(smithers.repo).pools
    assert pools["implement"] == ["claude", "codex"]
    assert pools["review"] == ["codex", "claude"]
    assert [agent["program"] for agent in document["agents"]] == [str(programs / "claude"), str(programs / "codex")]
    assert document["next"][0] == "smithers agents test claude"


def test_a_second_init_keeps_every_edit(smithers: runs.Smithers) -> None:
    smithers("init", "--pack", "plan")
    (smithers.repo / CONFIG).write_text("# mine\ncheck = 'true'\n", encoding="utf-8")
    (smithers.repo / ".smithers/packs/plan/prompts/draft.md").write_text("mine", encoding="utf-8")
    before = repos.contents(smithers.repo)
    document = smithers.json("init", "--pack", "plan")
    assert repos.contents(smithers.repo) == before
    assert document["written"] == []
    assert document["kept"] == [CONFIG, ".smithers/packs/plan"]
    assert (document["check"], document["check_from"]) == (["true"], "configured")


def test_nothing_but_the_configuration_is_written_by_default(smithers: runs.Smithers) -> None:
    smithers("init")
    assert repos.git(smithers.repo, "status", "--porcelain", "-uall") == f"?? {CONFIG}"


def test_a_copied_pack_is_whole_and_hides_the_built_in_one(smithers: runs.Smithers) -> None:
    document = smithers.json("init", "--pack", "implement", "--pack", "review")
    assert document["written"] == [CONFIG, ".smithers/packs/implement", ".smithers/packs/review"]
    built_in = content.builtin_root() / "packs" / "implement"
    copied = smithers.repo / ".smithers" / "packs" / "implement"
    for path in [p for p in built_in.rglob("*") if p.is_file() and "__pycache__" not in p.parts]:
        assert (copied / path.relative_to(built_in)).read_bytes() == path.read_bytes()
    assert content.find_pack("implement", smithers.repo) == copied


def test_a_copied_agent_profile_hides_the_built_in_one(smithers: runs.Smithers) -> None:
    smithers("init", "--agent", "script")
    assert content.find_agent("script", smithers.repo) == smithers.repo / ".smithers" / "agents" / "script.toml"


@pytest.mark.parametrize(
    ("option", "name", "close"), [("--pack", "implment", "implement"), ("--agent", "code", "codex")]
)
def test_an_unknown_name_is_refused_before_anything_is_written(
    smithers: runs.Smithers, option: str, name: str, close: str
) -> None:
    document = smithers.json("init", option, name, code=1)
    assert document["error"]["hint"] == f"did you mean '{close}'?"
    assert not (smithers.repo / ".smithers").exists()


def test_a_name_that_leads_elsewhere_is_unknown(smithers: runs.Smithers) -> None:
    smithers("init", "--pack", "../packs/implement", code=1)
    smithers("init", "--agent", "../../x", code=1)
    assert not (smithers.repo / ".smithers").exists()


def test_a_broken_configuration_is_told_and_kept(smithers: runs.Smithers) -> None:
    repos.write(smithers.repo, {CONFIG: "check = \n"})
    document = smithers.json("init", code=1)
    assert document["error"]["code"] == "config"
    assert (smithers.repo / CONFIG).read_text("utf-8") == "check = \n"


def test_a_repository_without_a_commit_is_told_what_comes_first(
    smithers: runs.Smithers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repos.make_repo(tmp_path / "empty", {}))
    assert smithers.json("init")["next"][0].startswith("git add -A && git commit")


def test_in_a_subfolder_the_files_go_to_the_top(smithers: runs.Smithers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(smithers.repo / "src")
    smithers("init")
    assert (smithers.repo / CONFIG).is_file()


def test_the_written_file_names_every_section(smithers: runs.Smithers) -> None:
    smithers("init")
    text = (smithers.repo / CONFIG).read_text("utf-8")
    missing = [name for name in Settings.model_fields if name not in text]
    assert not missing


def test_a_folder_that_cannot_be_written_is_a_clear_error(smithers: runs.Smithers) -> None:
    folder = smithers.repo / ".smithers"
    folder.mkdir()
    folder.chmod(0o555)
    code = (
        "import sys; from pathlib import Path; from smithers_git.edge import overlay\n"
        "from smithers_git.errors import StorageError\n"
        "try: overlay.write_new(Path(sys.argv[1]), 'x')\n"
        "except StorageError as error: print(error.message, error.hint)\n"
    )
    os.environ["PATH"] += os.pathsep + os.defpath  # setpriv
    said = perms.python_bound_by_modes(code, folder / "config.toml")
    folder.chmod(0o755)
    assert "cannot be written" in said
    assert "permissions" in said
