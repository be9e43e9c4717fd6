"""Where the cases of a sweep happen: a repository, a home and temporary files in one folder that is put back each time."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from kit import repos, runs
from reliability.case_server import CaseServer, Said
from reliability.place import Place
from reliability.shim import Page

SCRIPT = """\
[[turn]]
node = "wrote"
say = "writing"
write = [{{ path = "by agent.txt", text = "written" }}]
run = ["echo wrote >> '{ledger}'"]
answer = {{ summary = "written" }}
"""

HOME = (".config", ".local/state", ".local/share", ".cache")


class World:
    """One folder `root` with `repo`, `home` and `tmp` in it, all of which the shim watches; the rest lies outside."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.root = folder / "case"
        self.repo, self.home, self.tmp = (self.root / name for name in ("repo", "home", "tmp"))
        self.ledger = folder / "ledger"
        """A line for each step that has done its work."""
        self.page = Page(folder / "page")
        self.place: Place | None = None
        self._patch = patch
        self._server: CaseServer | None = None

    def __enter__(self) -> Self:
        for path in (self.home, self.tmp):
            path.mkdir(parents=True)
        self._settle()
        (self.folder / "script.toml").write_text(SCRIPT.format(ledger=self.ledger), "utf-8")
        self._patch.setenv("SMITHERS_SCRIPT", str(self.folder / "script.toml"))
        self._server = CaseServer({**os.environ, **self.page.env}, self.folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.page.end()
        assert self._server is not None
        self._server.close()

    def _settle(self) -> None:
        """The sealed home of the test, in the folder of the case, for the commands and for the test itself."""
        before = Path(os.environ["HOME"])
        for name in (".gitconfig", ".config/smithers/config.toml"):
            repos.write(self.home, {name: (before / name).read_bytes()})
        self._patch.setenv("HOME", str(self.home))
        self._patch.setenv("GIT_CONFIG_GLOBAL", str(self.home / ".gitconfig"))
        self._patch.setenv("TMPDIR", str(self.tmp))
        names = ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME")
        for variable, folder in zip(names, HOME, strict=True):
            self._patch.setenv(variable, str(self.home / folder))

    @property
    def server(self) -> CaseServer:
        assert self._server is not None
        return self._server

    # -- the template

    def make(self, files: Mapping[str, str | bytes] | None = None) -> None:
        """A fresh repository with these files in one commit."""
        repos.make_repo(self.repo, files)
        (self.repo / ".git" / "info").mkdir(exist_ok=True)
        (self.repo / ".git" / "info" / "exclude").write_text("/flow.py\n", "utf-8")

    def flow(self, body: str) -> None:
        """The workflow `flow.py`; steps note in LEDGER what they did."""
        head = runs.HEAD.replace("import Approval,", "import Approval, HumanTask, Signal,")
        (self.repo / "flow.py").write_text(
            head.replace("class Request", f"LEDGER = {str(self.ledger)!r}\n\n\nclass Request") + body, "utf-8"
        )

    def keep(self) -> None:
        """What is there now is what each case begins with."""
        self.place = Place(self.root)
        self._ledger = self.ledger.read_text("utf-8") if self.ledger.exists() else ""

    def restore(self) -> None:
        assert self.place is not None
        self.place.restore()
        self.ledger.write_text(self._ledger, "utf-8")

    # -- commands

    def smithers(self, *argv: str, codes: tuple[int, ...] = (0,), seconds: float = 60.0) -> Said:
        """A command that is not disturbed, and has to end with one of `codes`."""
        said = self.server.run(self.repo, *argv, seconds=seconds)
        assert said.code in codes, f"smithers {' '.join(argv)}: exit {said.code}, not {codes}\n{said.out}\n{said.err}"
        return said

    def done(self) -> list[str]:
        """What the steps noted."""
        return self.ledger.read_text("utf-8").split() if self.ledger.exists() else []

    def age_locks(self) -> None:
        """A while has passed since the crash: what nobody touches any more is old."""
        past = time.time() - 10
        for path in [*(self.repo / ".git").rglob("*.lock"), *(self.repo / ".git/worktrees").glob("*")]:
            os.utime(path, (past, past))
