"""`.smithers/config.toml`: read with errors that name file and key, edited without losing a comment."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from kit.perms import python_bound_by_modes

from smithers_git.core.settings import Settings
from smithers_git.edge import config
from smithers_git.errors import ConfigError


@pytest.fixture
def own(home):
    """The user's own file."""
    return home / ".config" / "smithers" / "config.toml"


@pytest.fixture
def theirs(tmp_path):
    """The repository's file."""
    return tmp_path / ".smithers" / "config.toml"


@pytest.fixture
def load(tmp_path, home):
    (home / ".config/smithers/config.toml").unlink()
    return lambda **environ: config.load(tmp_path, {"HOME": str(home), **environ})


def write(path, text: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)


def test_without_files_everything_has_its_default(load):
    assert load() == Settings()
    assert load().run.max_concurrency == 4


def test_every_section_is_read(load, theirs):
    write(
        theirs,
        """
        check = ["make", "test"]
        [run]
        max_concurrency = 9
        [pools]
        smart = ["claude", "codex"]
        [agents.claude]
        model = "opus"
        env = { A = "b" }
        [worktree]
        copy = [".env"]
        symlink = ["node_modules"]
        setup = "make setup"
        """,
    )
    found = load()
    assert (found.check, found.run.max_concurrency, found.pools) == (
        ["make", "test"],
        9,
        {"smart": ["claude", "codex"]},
    )
    assert (found.agents["claude"].model, found.agents["claude"].env) == ("opus", {"A": "b"})
    assert (found.worktree.copy_, found.worktree.symlink, found.worktree.setup) == (
        [".env"],
        ["node_modules"],
        "make setup",
    )


def test_the_repository_stands_over_the_users_own_key_by_key(load, own, theirs):
    write(own, '[pools]\nsmart = ["codex"]\nfast = ["haiku"]\n[agents.claude]\nmodel = "opus"\npermission = "edit"\n')
    write(theirs, '[pools]\nsmart = ["claude"]\n[agents.claude]\nmodel = "sonnet"\n')
    found = load()
    assert found.pools == {"smart": ["claude"], "fast": ["haiku"]}
    assert (found.agents["claude"].model, found.agents["claude"].permission) == ("sonnet", "edit")


def test_the_users_own_file_is_where_xdg_says(load, tmp_path):
    write(tmp_path / "elsewhere" / "smithers" / "config.toml", "check = 'x'")
    assert load(XDG_CONFIG_HOME=str(tmp_path / "elsewhere")).check == "x"
    assert load(XDG_CONFIG_HOME="").check is None


BROKEN = {
    "no TOML": ("a = = 1", "is not valid TOML", "line 1"),
    "a torn file": ("[run\n", "is not valid TOML", ""),
    "an unknown section": (
        "[runs]\nmax_concurrency = 1",
        "runs: Extra inputs",
        "did you mean 'run'? known there: check, run, pools",
    ),
    "an unknown key": ("[run]\nmax = 1", "run.max: Extra inputs", "known there: max_concurrency"),
    "a misspelt key of a worktree": ("[worktree]\ncopi = []", "worktree.copi: Extra inputs", "did you mean 'copy'?"),
    "an unknown key of an agent": (
        "[agents.claude]\nmodle = 'x'",
        "agents.claude.modle: Extra inputs",
        "did you mean 'model'?",
    ),
    "a key of the wrong kind": ("[run]\nmax_concurrency = 'many'", "run.max_concurrency: ", "mend that key"),
    "a value out of range": ("[run]\nmax_concurrency = 0", "run.max_concurrency: ", "mend that key"),
    "an unknown level": ("[agents.claude]\npermission = 'all'", "agents.claude.permission: ", "mend that key"),
    "a section that is a value": ("run = 1", "run: ", "mend that key"),
    "not UTF-8": (b"check = '\xff'", "cannot be read", "UTF-8"),
}


@pytest.mark.parametrize("which", ["own", "theirs"])
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_names_itself_and_the_key(name, which, load, request):
    text, message, hint = BROKEN[name]
    path = request.getfixturevalue(which)
    write(path, text)
    with pytest.raises(ConfigError) as caught:
        load()
    assert str(path) in caught.value.message
    assert message in caught.value.message
    assert hint in caught.value.hint + caught.value.message


def test_a_folder_in_its_place_is_said(load, theirs):
    theirs.mkdir(parents=True)
    with pytest.raises(ConfigError, match="cannot be read"):
        load()


def test_a_file_that_may_not_be_read_is_said(theirs, tmp_path):
    write(theirs, "check = 'x'")
    theirs.chmod(0)
    code = """
import sys
import tomllib
from pathlib import Path
from smithers_git.edge import config
from smithers_git.errors import ConfigError
try:
    config.load(Path(sys.argv[1]), {"HOME": "/nowhere"})
except ConfigError as error:
    print(error.message)
"""
    assert "cannot be read" in python_bound_by_modes(code, tmp_path)


# -- writing


def test_a_value_is_written_and_every_comment_stays(theirs, load):
    write(theirs, "# about us\ncheck = 'old' # why\n\n[run]\n# at most\nmax_concurrency = 2\n")
    config.set_value(theirs, "", "check", ["make", "test"])
    config.set_value(theirs, "run", "max_concurrency", 3)
    config.set_value(theirs, "pools", "smart", ["codex"])
    text = theirs.read_text()
    assert all(comment in text for comment in ("# about us", "# why", "# at most"))
    found = load()
    assert (found.check, found.run.max_concurrency, found.pools) == (["make", "test"], 3, {"smart": ["codex"]})


def test_the_file_is_made_when_there_is_none(theirs, load):
    config.set_value(theirs, "", "check", "make check")
    assert load().check == "make check"


@pytest.mark.parametrize("text", ["a = = 1", b"\xff", "run = 1"])
def test_a_file_that_is_broken_is_not_written_over(theirs, text):
    write(theirs, text)
    before = theirs.read_bytes()
    with pytest.raises(ConfigError, match=str(theirs)):
        config.set_value(theirs, "run", "max_concurrency", 3)
    assert theirs.read_bytes() == before


@pytest.mark.parametrize(("section", "key", "value"), [("run", "max", 1), ("run", "max_concurrency", 0), ("x", "y", 1)])
def test_what_the_file_could_not_be_read_with_is_not_written(theirs, section, key, value):
    write(theirs, "check = 'x'\n")
    with pytest.raises(ConfigError):
        config.set_value(theirs, section, key, value)
    assert theirs.read_text() == "check = 'x'\n"
    assert list(theirs.parent.iterdir()) == [theirs]


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / ".smithers").write_text("a file")
    with pytest.raises(ConfigError, match="cannot be written"):
        config.set_value(tmp_path / ".smithers" / "config.toml", "", "check", "x")


TRIGGER = {"name": "nightly", "on": "cron", "schedule": "0 3 * * *", "workflow": "review"}


def test_a_table_is_appended_and_removed_and_every_comment_stays(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    before = (
        '# mine\ncheck = "true"  # quick\n\n[[trigger]]\n# why\nname = "own"\non = "post-commit"\nworkflow = "plan"\n'
    )
    path.write_text(before, "utf-8")
    config.add_table(path, "trigger", {**TRIGGER, "input": {"prompt": 'say "hi"'}})
    text = path.read_text("utf-8")
    assert text.startswith(before)
    assert tomllib.loads(text)["trigger"][1] == {**TRIGGER, "input": {"prompt": 'say "hi"'}}
    assert config.remove_table(path, "trigger", "nightly")
    assert path.read_text("utf-8").rstrip() == before.rstrip()
    assert not config.remove_table(path, "trigger", "nightly")


def test_the_last_table_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "new" / "config.toml"
    config.add_table(path, "trigger", TRIGGER)
    assert tomllib.loads(path.read_text("utf-8")) == {"trigger": [TRIGGER]}
    assert config.remove_table(path, "trigger", "nightly")
    assert path.read_text("utf-8").strip() == ""


def test_a_table_that_is_wrong_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("# mine\n", "utf-8")
    with pytest.raises(ConfigError, match="schedule"):
        config.add_table(path, "trigger", {**TRIGGER, "schedule": "x"})
    assert path.read_text("utf-8") == "# mine\n"
