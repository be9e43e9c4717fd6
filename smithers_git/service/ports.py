"""Which workspace has which block of ports: one file for all repositories of a user on this machine.

A block belongs to a folder. It is free again when its workspace is removed, and so is one whose folder is gone while
nobody drives the run: nothing has to be cleared away after a crash.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from smithers_git.clock import Clock, SystemClock
from smithers_git.core.settings import PortSettings
from smithers_git.edge import ports
from smithers_git.edge.git.command import storage_errors
from smithers_git.edge.git.durable import flush
from smithers_git.edge.lock import holding, is_held
from smithers_git.errors import ConfigError, StorageError

_GRACE: Final = 3600.0
"""Seconds for which a block is kept for a workspace that is not there yet, say of a fork that nobody has started."""
_WAIT: Final = 30.0


@dataclass(frozen=True, slots=True)
class Address:
    """What tells one workspace from all others on this machine."""

    slug: str
    port: int
    """The first port of its block."""

    def environ(self) -> dict[str, str]:
        """As every process that works in the workspace finds it."""
        return {
            "SMITHERS_SLUG": self.slug,
            "SMITHERS_PORT_BASE": str(self.port),
            "COMPOSE_PROJECT_NAME": self.slug,
        }


@dataclass(frozen=True, slots=True)
class _Block:
    first: int
    size: int
    folder: str
    lock: str
    """The lock of the run; its workspaces keep their blocks while it is held."""
    at: float

    def overlaps(self, first: int, size: int) -> bool:
        return self.first < first + size and first < self.first + self.size


class Registry:
    """The blocks of ports of one user.

    Args:
        home: folder of the file, `$XDG_STATE_HOME/smithers`.
        settings: which ports there are.
        clock: for tests.
    """

    def __init__(self, home: Path, settings: PortSettings, clock: Clock | None = None) -> None:
        self.path = home / "ports.json"
        self.settings = settings
        self.clock = clock or SystemClock()

    def find(self, folder: Path) -> int | None:
        """The first port of the block of a workspace; None when it has none."""
        return next((block.first for block in self._read() if block.folder == str(folder)), None)

    @storage_errors
    def claim(self, folder: Path, lock: Path, wanted: int | None = None) -> int:
        """The first port of the block of a workspace: the one it has, else `wanted` if that is free, else a free one.

        Raises:
            ConfigError: every block is taken.
            StorageError: the file cannot be read or written.
        """
        found = self.find(folder)
        if found is not None:
            return found
        with holding(self.path.with_suffix(".lock"), _WAIT):
            blocks = [block for block in self._read() if self._lives(block)]
            found = next((block.first for block in blocks if block.folder == str(folder)), None)
            if found is None:
                found = self._free(blocks, wanted)
                made = _Block(found, self.settings.block, str(folder), str(lock), self.clock.now())
                self._write([*blocks, made])
        return found

    @storage_errors
    def release(self, folder: Path) -> None:
        """The workspace is gone: others may have its ports."""
        if self.find(folder) is None:
            return
        with holding(self.path.with_suffix(".lock"), _WAIT):
            self._write([block for block in self._read() if block.folder != str(folder)])

    def _lives(self, block: _Block) -> bool:
        if Path(block.folder).exists() or self.clock.now() - block.at < _GRACE:
            return True
        return is_held(Path(block.lock))

    def _free(self, blocks: list[_Block], wanted: int | None) -> int:
        size = self.settings.block
        firsts = [self.settings.first + size * number for number in range(self.settings.count)]
        for first in [*([wanted] if wanted in firsts else []), *firsts]:
            taken = any(block.overlaps(first, size) for block in blocks)
            if not taken and all(ports.is_free(port) for port in range(first, first + size)):
                return first
        raise ConfigError(
            f"all {self.settings.count} blocks of {size} ports from {self.settings.first} on are taken",
            hint="smithers gc frees those of worktrees that nobody needs; [ports] in .smithers/config.toml sets others",
        )

    def _read(self) -> list[_Block]:
        try:
            found = json.loads(self.path.read_bytes())
            return [_Block(**_plain(one)) for one in found["blocks"]]
        except FileNotFoundError:
            return []
        except (ValueError, TypeError, KeyError) as error:
            raise StorageError(f"{self.path} is damaged: {error}", hint=f"rm {self.path}") from error

    def _write(self, blocks: list[_Block]) -> None:
        fresh = self.path.with_suffix(".new")
        fresh.write_text(json.dumps({"blocks": [asdict(block) for block in blocks]}, indent=1), "utf-8")
        flush(fresh)  # or a power loss leaves an empty file, and two workspaces get the same ports
        fresh.replace(self.path)
        flush(self.path.parent)


def _plain(one: Mapping[str, Any]) -> dict[str, Any]:
    """Without what a newer version may have added."""
    return {name: one[name] for name in _Block.__dataclass_fields__}
