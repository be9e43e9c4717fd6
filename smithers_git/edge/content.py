"""Where commands, agents, packs and hooks are found, and how Python files among them are loaded.

Built-in content ships inside the wheel (`_content/`) and lies beside the package in a checkout. A repository's
`.smithers/` may put its own agents, packs and hooks over the built-in ones, never commands: a repository must not be
able to replace a `smithers` verb, not even for TAB completion.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Literal

from smithers_git.errors import ContentError

Kind = Literal["agents", "packs", "hooks"]


@cache
def builtin_root() -> Path:
    """The folder with the built-in content; raises ContentError when the installation is incomplete."""
    package = Path(__file__).resolve().parent.parent
    if (package / "_content").is_dir():
        return package / "_content"
    checkout = package.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "commands").is_dir():
        return checkout
    raise ContentError(
        f"the installation at {package} lacks its built-in content", hint="install smithers-git again from its wheel"
    )


def roots(kind: Kind, worktree: Path | None) -> list[Path]:
    """Folders to look in, the repository's own first."""
    own = [worktree / ".smithers" / kind] if worktree is not None else []
    return [*own, builtin_root() / kind]


def find_pack(name: str, worktree: Path | None) -> Path | None:
    """The folder of the pack `name`; None when there is none."""
    for root in roots("packs", worktree):
        if (root / name / "workflow.py").is_file():
            return root / name
    return None


def list_packs(worktree: Path | None) -> dict[str, Path]:
    """Pack name to folder; the repository's own hide built-in ones of the same name."""
    found: dict[str, Path] = {}
    for root in roots("packs", worktree):
        if root.is_dir():
            for folder in sorted(root.iterdir()):
                if (folder / "workflow.py").is_file():
                    found.setdefault(folder.name, folder)
    return dict(sorted(found.items()))


def find_agent(name: str, worktree: Path | None) -> Path | None:
    """The profile file of the agent `name`; None when there is none."""
    return next((p for root in roots("agents", worktree) if (p := root / f"{name}.toml").is_file()), None)


def list_agents(worktree: Path | None) -> dict[str, Path]:
    """Agent name to profile file; the repository's own hide built-in ones of the same name."""
    found: dict[str, Path] = {}
    for root in roots("agents", worktree):
        if root.is_dir():
            for path in sorted(root.glob("*.toml")):
                found.setdefault(path.stem, path)
    return dict(sorted(found.items()))


def command_files() -> dict[str, Path]:
    """Verb to file; an underscore in the file's name is a dash in the verb."""
    folder = builtin_root() / "commands"
    return {path.stem.replace("_", "-"): path for path in sorted(folder.glob("*.py"))}


class _Loader(SourceFileLoader):
    """Writes no bytecode: a __pycache__ in the user's pack would show up in their git status."""

    def set_data(self, path: str, data: Any, *, _mode: int = 0o666) -> None:
        """Called with the bytecode that could be kept."""


class _Finder:
    """Finds what loaded files import from beside themselves, also when their functions do so later."""

    names: ClassVar[set[str]] = set()

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not any(fullname.startswith(f"{name}.") for name in cls.names):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


def load_module(path: Path, name: str) -> ModuleType:
    """Execute the Python file `path` as the module `name`; its folder is where `from .helpers import x` looks.

    Whatever the file raises passes through; the caller knows what the file is for.
    """
    for known in [known for known in sys.modules if known == name or known.startswith(name + ".")]:
        del sys.modules[known]
    if path.suffix != ".py":
        raise ContentError(f"{path} cannot be loaded as Python", hint="its name must end in .py")
    _Finder.names.add(name)
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)
    loader = _Loader(name, str(path))
    spec = importlib.util.spec_from_file_location(
        name, path, loader=loader, submodule_search_locations=[str(path.parent)]
    )
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    # Registered before it runs: a dataclass with postponed annotations looks its module up there (tried, 3.11).
    sys.modules[name] = module
    loader.exec_module(module)
    return module


def modules_below(name: str) -> dict[str, Path]:
    """Files of the modules that were imported below the module `name`, by module name."""
    return {
        known: Path(file)
        for known, module in sys.modules.items()
        if known.startswith(name + ".") and (file := getattr(module, "__file__", None))
    }
