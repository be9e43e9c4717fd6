"""Where the cases of a sweep happen: a repository, a home and temporary files in one folder that is always put back."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from kit import repos, runs
from kit.script_agent import writer
from reliability.case_server import CaseServer, Said
from reliability.place import Place
from reliability.shim import Page

HOME = {
    "XDG_CONFIG_HOME": ".config",
    "XDG_STATE_HOME": ".local/state",
    "XDG_DATA_HOME": ".local/share",
    "XDG_CACHE_HOME": ".cache",
}


@dataclass(frozen=True, slots=True)
class Template:
    """What a case begins with."""

    place: Place
    ledger: str
    may_go: bool
    """Whether the step that waits for it may go on."""


class World:
    """One folder `root` with `repo`, `home` and `tmp` in it, all of which the shim watches; the rest lies outside."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.root = folder / "case"
        self.repo, self.home, self.tmp = (self.root / name for name in ("repo", "home", "tmp"))
        self.ledger = folder / "ledger"
        """A line for each step that has done its work."""
        self.go = folder / "ledger-go"
        """For this file one step waits."""
        self.page = Page(folder / "page")
        self.template: Template | None = None
        """That of the case which was begun last."""
        self.told = ""
        """What the operation said on standard error."""
        self.doctor = ""
        """A name in `sweep_doctored`: what commands run is broken in this way."""
        self._patch = patch
        self._server: CaseServer | None = None

    def __enter__(self) -> Self:
        self._gitconfig = (Path(os.environ["HOME"]) / ".gitconfig").read_bytes()
        self._config = (Path(os.environ["HOME"]) / ".config/smithers/config.toml").read_bytes()
        self.settle(self._patch)
        (self.folder / "script.toml").write_text(writer("wrote", "by agent.txt", self.ledger), "utf-8")
        self._patch.setenv("SMITHERS_SCRIPT", str(self.folder / "script.toml"))
        self._server = CaseServer({**os.environ, **self.page.env}, self.folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.page.end()
        assert self._server is not None
        self._server.close()

    def settle(self, patch: pytest.MonkeyPatch) -> None:
        """The home in the folder of the case, as this process sees it: each test has one of its own otherwise."""
        patch.setenv("HOME", str(self.home))
        patch.setenv("GIT_CONFIG_GLOBAL", str(self.home / ".gitconfig"))
        patch.setenv("TMPDIR", str(self.tmp))
        for variable, folder in HOME.items():
            patch.setenv(variable, str(self.home / folder))

    @property
    def server(self) -> CaseServer:
        assert self._server is not None
        return self._server

    # -- the template

    def make(self, files: Mapping[str, str | bytes] | None = None) -> None:
        """Nothing but a fresh repository with these files in one commit."""
        if self.root.exists():
            shutil.rmtree(self.root)
        self.tmp.mkdir(parents=True)
        repos.write(self.home, {".gitconfig": self._gitconfig, ".config/smithers/config.toml": self._config})
        for path in (self.ledger, self.go):
            path.unlink(missing_ok=True)
        repos.make_repo(self.repo, files)
        (self.repo / ".git" / "info").mkdir(exist_ok=True)
        (self.repo / ".git" / "info" / "exclude").write_text("/flow.py\n", "utf-8")

    def flow(self, body: str) -> None:
        """The workflow `flow.py`; steps note in LEDGER what they did."""
        head = runs.HEAD.replace("import Approval,", "import Approval, HumanTask, Signal,")
        (self.repo / "flow.py").write_text(
            head.replace("class Request", f"LEDGER = {str(self.ledger)!r}\n\n\nclass Request") + body, "utf-8"
        )

    def keep(self) -> Template:
        """What is there now, for `restore`."""
        ledger = self.ledger.read_text("utf-8") if self.ledger.exists() else ""
        return Template(Place(self.root), ledger, self.go.exists())

    def restore(self, template: Template) -> None:
        self.template = template
        template.place.restore()
        self.ledger.write_text(template.ledger, "utf-8")
        self.go.unlink(missing_ok=True)
        if template.may_go:
            self.go.touch()

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
