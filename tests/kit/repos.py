"""Real repositories for tests, copied from templates: `git init` and a first commit take four processes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

FILES: dict[str, str | bytes] = {
    "README.md": "# Sample\n",
    "src/app.py": "def main():\n    return 1\n",
    ".gitignore": "*.log\n/build/\n.env\n",
}

templates: Path | None = None  # set by tests/conftest.py, one folder a session

# One second before 2020: tracked files are older than any index, so git never has to call one "racily clean"
# and a `git status` in a test leaves the index alone.
_PAST = 1_577_836_799


def git(repo: Path, *args: str, check: bool = True, stdin: bytes | None = None) -> str:
    """Run git in `repo` and return its stdout without the last line end; a failure shows stderr."""
    done = subprocess.run(["git", "-C", str(repo), *args], input=stdin, capture_output=True)
    if check and done.returncode:
        raise AssertionError(f"git {' '.join(args)}: {done.stderr.decode(errors='replace')}")
    return done.stdout.decode("utf-8", "surrogateescape").removesuffix("\n")


def write(root: Path, files: Mapping[str, str | bytes]) -> None:
    """Write `files` (relative path to content) below `root`."""
    for name, content in files.items():
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)


def make_repo(path: Path, files: Mapping[str, str | bytes] | None = None) -> Path:
    """A repository at `path` with `files` in one commit on `main`; `{}` makes one without a commit."""
    wanted = FILES if files is None else files
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(_template(wanted), path, symlinks=True)
    if wanted:
        git(path, "update-index", "-q", "--refresh")  # the copies have other inodes
    return path


def commit(repo: Path, files: Mapping[str, str | bytes], message: str = "change") -> str:
    """Write `files`, commit everything and return the commit's id."""
    write(repo, files)
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", message)
    return git(repo, "rev-parse", "HEAD")


def contents(root: Path) -> dict[str, tuple[int, bytes]]:
    """Mode and bytes of everything below `root` (`.git` included), to compare before with after."""
    found: dict[str, tuple[int, bytes]] = {}
    for folder, folders, names in os.walk(root):
        for name in [*folders, *names]:
            path = Path(folder, name)
            mode = path.lstat().st_mode
            if path.is_symlink():
                content = os.fsencode(path.readlink())
            else:
                content = path.read_bytes() if path.is_file() else b""
            found[str(path.relative_to(root))] = (mode, content)
    return found


def _template(files: Mapping[str, str | bytes]) -> Path:
    assert templates is not None, "the session fixture of tests/conftest.py sets this"
    digest = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()[:16]
    path = templates / digest
    if path.exists():
        return path
    git(templates, "init", "-q", "-b", "main", digest)
    shutil.rmtree(path / ".git" / "hooks")  # samples only; copying them is most of the cost
    if files:
        write(path, files)
        for name in files:
            os.utime(path / name, (_PAST, _PAST))
        git(path, "add", "-A")
        git(path, "commit", "-qm", "first")
    return path
