"""Every test runs sealed off: own HOME, no system git configuration, fixed identity, nothing inherited."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# The same commit has the same verdict wherever and however often it is asked; `make explore` looks at other examples.
hypothesis.settings.register_profile("same", derandomize=True)
hypothesis.settings.register_profile("explore", database=None, print_blob=True)
hypothesis.settings.load_profile("explore" if os.environ.get("SMITHERS_TEST_EXPLORE") else "same")

# Before anybody imports them: their asserts are then as telling as those of a test.
pytest.register_assert_rewrite("kit.engines", "kit.gates", "kit.journeys", "kit.proofs", "kit.refusals")
pytest.register_assert_rewrite("reliability.kill_checks", "reliability.kills", "reliability.stateful")

from kit import repos, starter, warm  # noqa: E402 - after they were registered
from pexpect import popen_spawn  # noqa: E402

from smithers_git.edge import process  # noqa: E402

# An allow-list: a new variable on a developer's machine must not be able to change a result.
_KEPT = {"PATH", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "SYSTEMROOT"}
_KEPT_PREFIXES = ("PYTEST_", "PYTHON", "SMITHERS_TEST_", "COV_")
_GITCONFIG = """\
[user]
\tname = Ada Tester
\temail = ada@example.test
[init]
\tdefaultBranch = main
[advice]
\tdetachedHead = false
"""


def pytest_collection_finish() -> None:
    """Five thousand tests stay until the end: a collector that looks through them each time takes a tenth of it all."""
    gc.collect()
    gc.freeze()


def _settle(patch: pytest.MonkeyPatch, home: Path) -> None:
    """Point HOME and all that hangs on it at the empty folder `home`."""
    # Tests isolate where that is what they are about: their fakes leave notes in temporary folders.
    own = home / ".config" / "smithers" / "config.toml"
    own.parent.mkdir(parents=True)
    own.write_text('[isolate]\nmode = "never"\nmachine = true\n', encoding="utf-8")
    config = home / ".gitconfig"
    config.write_text(_GITCONFIG, encoding="utf-8")
    patch.setenv("HOME", str(home))
    patch.setenv("GIT_CONFIG_GLOBAL", str(config))
    for name, folder in (
        ("XDG_CONFIG_HOME", ".config"),
        ("XDG_STATE_HOME", ".local/state"),
        ("XDG_DATA_HOME", ".local/share"),
        ("XDG_CACHE_HOME", ".cache"),
    ):
        patch.setenv(name, str(home / folder))


@pytest.fixture(scope="session", autouse=True)
def _sealed_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The seal also holds while session fixtures are set up."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name not in _KEPT and not name.startswith(_KEPT_PREFIXES):
                patch.delenv(name)
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        patch.setenv("LC_ALL", "C.UTF-8")
        patch.setenv("TZ", "UTC")
        patch.setenv("TERM", "dumb")
        # A real terminal answers at once where its cursor is; that of pexpect never does, and is waited for for 2 s.
        patch.setenv("PROMPT_TOOLKIT_NO_CPR", "1")
        # Without byte code every process of ours compiles us anew: half a second each.
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.setattr(sys, "dont_write_bytecode", False)
        # `python3` is this one: a version manager's shim in its place takes seven times as long, and may be too old.
        patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}")
        _settle(patch, tmp_path_factory.mktemp("home"))
        patch.setattr(repos, "templates", tmp_path_factory.mktemp("templates"))
        yield


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh HOME of this test's own; `$HOME/.gitconfig` holds the identity Ada Tester."""
    folder = tmp_path_factory.mktemp("home")
    for name in list(os.environ):  # a module's fixture may have set one for its own tests
        if name.startswith("SMITHERS_") and not name.startswith("SMITHERS_TEST_"):
            monkeypatch.delenv(name)
    # Tests set this one in os.environ itself: what monkeypatch knows of, it forgets afterwards.
    monkeypatch.setenv("SMITHERS_SCRIPT", "")
    monkeypatch.delenv("SMITHERS_SCRIPT")
    _settle(monkeypatch, folder)
    monkeypatch.setattr(process, "spawn_detached", starter.spawn_detached)
    return folder


@pytest.fixture
def warm_reapers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands and agents start at once; for tests of what they do, not of how their processes start and end."""
    monkeypatch.setattr(popen_spawn, "subprocess", warm)


@pytest.fixture
def cold_reapers(monkeypatch: pytest.MonkeyPatch) -> None:
    """As users have it: the mark of its run is in the reaper's environment too, for whoever looks at processes."""
    monkeypatch.setattr(popen_spawn, "subprocess", subprocess)


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A repository with one commit on `main` that holds the files of `repos.FILES`."""
    return repos.make_repo(tmp_path / "repo")
