"""The machines on which the real CLIs run: for each, what a user would have set up, pointed at the stub model.

One module a CLI, `machines/NAME.py` with one `MACHINE`. `test_conformance` finds it there.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from agents.stub.server import StubModel
from agents.stub.steps import Step, say

# Read while the tests are collected: later the environment is sealed.
CACHE = Path(os.environ.get("SMITHERS_AGENT_CACHE") or Path(__file__).parents[2] / ".cache" / "agents").absolute()
ASKED = os.environ.get("AGENTS", "").split()
"""Names in the cache of the CLIs to drive; none means all."""


@dataclass(frozen=True)
class Machine:
    """A machine on which one CLI is installed and set up for a provider on loopback.

    In `env` and `files`, `{url}` stands for the address of the stub model and `{home}` for the HOME.
    """

    name: str
    """The profile's name."""
    speaks: Literal["messages", "responses", "chat", "gemini"]
    env: Mapping[str, str]
    """What the user has exported. The profile has to let it through."""
    files: Mapping[str, str] = field(default_factory=dict)
    """What stands below HOME, by path."""
    program: str = ""
    """The program's name in the cache, where it is not the profile's name."""
    model: str | None = None
    """The user's choice, where the CLI has none of its own."""
    tools: bool = True
    """False: the CLI offers its model no tools, and reads edits out of the answer."""
    relative: bool = False
    """Whether its model names files by their path in the folder: most want an absolute one."""
    answer: Callable[..., Step] = say
    """How its model gives an answer: mostly by saying it."""
    kinds: Mapping[str, str] = field(default_factory=dict)
    """Faults of `test_conformance.FAULTS` that this CLI shows as another kind of failure than the usual one; a kind of
    "" says that it takes the answer that it has for a whole one, and that nothing in its output tells.
    """
    usage: Literal["exact", "rounded", "none"] = "exact"
    """Whether it tells the tokens as the model counted them."""
    lost: str | None = "11111111-2222-4333-8444-555555555555"
    """The id of a conversation that does not exist; None where the CLI begins a new one under that id, untold."""
    hang: float = 10.0
    """Seconds of silence that are more than it needs to start."""
    patience: float = 60.0
    """Seconds that its own tries may take, where nothing turns them down."""
    full: str | None = None
    """The permission level at which it runs a command unasked; None is the profile's default."""

    @property
    def executable(self) -> Path:
        """Where `install.sh` puts the program."""
        return CACHE / "bin" / (self.program or self.name)

    @property
    def missing(self) -> str:
        """Why it cannot be driven here; "" when it can."""
        if ASKED and self.executable.name not in ASKED:
            return f"{self.name} was not asked for: AGENTS={' '.join(ASKED)}"
        if not self.executable.exists():
            return f"{self.name} is not installed in {CACHE}: run `make test-agents`"
        return ""

    def settle(self, folder: Path, stub: StubModel, called: str) -> dict[str, str]:
        """Lay the machine out in the empty `folder`, the program under the name `called`.

        Returns its whole environment: nothing is inherited.
        """
        # The home is not below the temporary folder: codex would refuse to build its sandbox.
        home = folder / "home"
        for part in (home, folder / "tmp", folder / "bin"):
            part.mkdir(parents=True)
        (folder / "bin" / called).symlink_to(self.executable)

        def fill(text: str) -> str:
            return text.replace("{url}", stub.url).replace("{home}", str(home))

        for name, text in self.files.items():
            path = home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(fill(text))
        # An isolated CLI sees nothing below a temporary folder, where a checkout with the cache may lie.
        own = home / ".config" / "smithers" / "config.toml"
        own.parent.mkdir(parents=True, exist_ok=True)
        own.write_text(f'[isolate]\nread = ["{CACHE}"]\n')
        return {
            "PATH": f"{folder / 'bin'}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(home),
            "TMPDIR": str(folder / "tmp"),
            "LANG": "C.UTF-8",
            # Nobody is to be reached but the stub: what honours these fails at once, and most do.
            "http_proxy": "http://127.0.0.1:9",
            "https_proxy": "http://127.0.0.1:9",
            "no_proxy": "127.0.0.1,localhost",
            "SMITHERS_TEST_MARK": str(folder),
            **{name: fill(text) for name, text in self.env.items()},
        }


def every() -> dict[str, Machine]:
    """All machines by the name of their profile."""
    here = Path(__file__).parent / "machines"
    modules = [importlib.import_module(f"agents.machines.{path.stem}") for path in sorted(here.glob("[a-z]*.py"))]
    return {module.MACHINE.name: module.MACHINE for module in modules}
