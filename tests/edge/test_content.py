"""Where packs, agents and commands are found, and how Python files are loaded by path."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from kit.repos import write

from smithers_git.edge import content
from smithers_git.errors import ContentError

NAME = "smithers_git._packs.probe"


@pytest.fixture(autouse=True)
def _forget():
    yield
    for known in [known for known in sys.modules if known == NAME or known.startswith(NAME + ".")]:
        del sys.modules[known]


# -- finding


def test_the_built_in_content_is_found(tmp_path):
    root = content.builtin_root()
    assert (root / "commands").is_dir()
    assert {"plan", "research", "implement", "review", "debug"} <= content.list_packs(tmp_path).keys()
    assert {"claude", "codex", "script"} <= content.list_agents(None).keys()
    assert content.roots("packs", None) == [root / "packs"]


def test_a_repository_lays_its_own_over_the_built_in_ones(tmp_path):
    write(tmp_path, {".smithers/packs/plan/workflow.py": "", ".smithers/packs/ours/workflow.py": ""})
    write(tmp_path, {".smithers/agents/claude.toml": "", ".smithers/agents/ours.toml": ""})
    own = tmp_path / ".smithers"
    assert content.find_pack("plan", tmp_path) == own / "packs" / "plan"
    assert content.find_pack("ours", tmp_path) == own / "packs" / "ours"
    assert content.find_pack("review", tmp_path) == content.builtin_root() / "packs" / "review"
    assert content.find_agent("claude", tmp_path) == own / "agents" / "claude.toml"
    assert content.list_packs(tmp_path)["plan"] == own / "packs" / "plan"
    assert content.list_agents(tmp_path)["ours"] == own / "agents" / "ours.toml"
    assert content.list_agents(None)["claude"] == content.builtin_root() / "agents" / "claude.toml"


def test_a_repository_cannot_replace_or_add_a_command(tmp_path, monkeypatch):
    write(tmp_path, {".smithers/commands/up.py": "raise SystemExit", ".smithers/commands/evil.py": "raise SystemExit"})
    monkeypatch.chdir(tmp_path)
    found = content.command_files()
    assert "evil" not in found
    assert found["up"].parent == content.builtin_root() / "commands"


def test_a_verb_has_dashes_where_its_file_has_underscores():
    assert all(
        "_" not in verb and path.stem.replace("_", "-") == verb for verb, path in content.command_files().items()
    )


def test_what_is_not_there_is_not_found(tmp_path):
    write(tmp_path, {".smithers/packs/empty/readme": "", ".smithers/packs/file": ""})
    assert content.find_pack("empty", tmp_path) is None
    assert content.find_pack("file", tmp_path) is None
    assert content.find_agent("nobody", tmp_path) is None
    assert "empty" not in content.list_packs(tmp_path)


def test_an_installation_without_its_content_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(content, "__file__", str(tmp_path / "lib" / "smithers_git" / "edge" / "content.py"))
    content.builtin_root.cache_clear()
    try:
        with pytest.raises(ContentError, match="lacks its built-in content") as caught:
            content.builtin_root()
        assert "wheel" in caught.value.hint
    finally:
        content.builtin_root.cache_clear()


# -- loading


def load(folder: Path, source: str, **more: str):
    write(folder, {"flow.py": source, **{name.replace("__", "/") + ".py": text for name, text in more.items()}})
    return content.load_module(folder / "flow.py", NAME)


def test_a_file_is_loaded_under_a_private_name(tmp_path):
    module = load(tmp_path, "value = 7\nname = __name__\n")
    assert (module.value, module.name) == (7, NAME)
    assert "flow" not in sys.modules


def test_helpers_beside_it_are_imported_relatively(tmp_path):
    module = load(
        tmp_path,
        "from .helpers import double\nfrom .sub.deep import one\nvalue = double(one)\n",
        helpers="def double(x): return 2 * x\n",
        sub__deep="from ..helpers import double\none = double(1)\n",
    )
    assert module.value == 4
    found = content.modules_below(NAME)
    assert {str(path.relative_to(tmp_path)) for path in found.values()} == {"helpers.py", "sub/deep.py"}


def test_two_packs_with_the_same_helper_do_not_meet(tmp_path):
    first = load(tmp_path / "a", "from .helpers import x\n", helpers="x = 'a'\n")
    second = load(tmp_path / "b", "from .helpers import x\n", helpers="x = 'b'\n")
    assert (first.x, second.x) == ("a", "b")


def test_a_file_that_changed_is_loaded_anew_with_its_helpers(tmp_path):
    load(tmp_path, "from .helpers import x\n", helpers="x = 1\n")
    assert load(tmp_path, "from .helpers import x\n", helpers="x = 2222\n").x == 2222


def test_dataclasses_with_postponed_annotations_work(tmp_path):
    source = """
from __future__ import annotations
from dataclasses import dataclass, field
from typing import ClassVar
from pydantic import BaseModel
@dataclass
class A:
    kind: ClassVar[str] = "a"
    parts: list[int] = field(default_factory=list)
class B(BaseModel):
    a: int
    others: list[B] = []
"""
    module = load(tmp_path, source)
    assert module.A().parts == []
    assert module.B(a=1, others=[{"a": 2}]).others[0].a == 2


def test_nothing_is_left_in_the_users_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", None)
    source = "from .helpers import x\ndef late():\n    from .later import y\n    return y\n"
    assert load(tmp_path, source, helpers="x = 1\n", later="y = 2\n").late() == 2
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["flow.py", "helpers.py", "later.py"]
    assert sys.dont_write_bytecode is False, "the libraries that are imported later may keep theirs"


@pytest.mark.parametrize("error", ["ZeroDivisionError", "KeyError", "SystemExit"])
def test_what_the_file_raises_passes_through(tmp_path, error):
    with pytest.raises(BaseException, match="why") as caught:
        load(tmp_path, f"raise {error}('why')\n")
    assert type(caught.value).__name__ == error


def test_a_file_that_is_no_python_is_said(tmp_path):
    write(tmp_path, {"flow.txt": ""})
    with pytest.raises(ContentError, match="cannot be loaded as Python"):
        content.load_module(tmp_path / "flow.txt", NAME)
