"""The project's own check command: configured, or found from what the repository holds."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

from smithers_git.service.project import Project


def find_check(project: Project) -> list[str] | None:
    """The command, as words, whose exit code says whether the project is well; None when nothing is found."""
    configured = project.settings.check
    if configured:
        return shlex.split(configured) if isinstance(configured, str) else list(configured)
    return detect(project.worktree)


def detect(root: Path) -> list[str] | None:
    """What people type in a repository like this one: make test, pytest, npm test, cargo test, go test."""
    rules = _text(root / "Makefile") or _text(root / "makefile")
    for target in ("test", "check"):
        if re.search(rf"^{target}\s*:", rules, re.MULTILINE):
            return ["make", target]
    if _has_pytest(root):
        return ["python3", "-m", "pytest", "-q"]
    script = _npm_script(root / "package.json")
    if script and "no test specified" not in script:  # what `npm init` writes
        return ["npm", "test", "--silent"]
    if (root / "Cargo.toml").is_file():
        return ["cargo", "test", "--quiet"]
    if (root / "go.mod").is_file():
        return ["go", "test", "./..."]
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def _has_pytest(root: Path) -> bool:
    if (root / "pytest.ini").is_file() or (root / "conftest.py").is_file():
        return True
    if "[tool.pytest" in _text(root / "pyproject.toml") or "[tool:pytest]" in _text(root / "setup.cfg"):
        return True
    return any((root / "tests").glob("test_*.py")) or any(root.glob("test_*.py"))


def _npm_script(path: Path) -> str | None:
    try:
        return str(json.loads(_text(path) or "{}").get("scripts", {}).get("test", "")) or None
    except (ValueError, AttributeError):
        return None
