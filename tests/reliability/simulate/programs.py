"""What programs do: they write files, take their time and end as the scenario says."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from reliability.simulate import flow

from smithers_git.edge.process import Exit
from smithers_git.names import TaskKey

if TYPE_CHECKING:
    from reliability.simulate.world import Process, World


class Programs:
    """The programs of a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.tasks = {leaf.id: leaf for leaf in world.scenario.root.leaves()}

    def fate(self, run: str, key: TaskKey) -> tuple[str, float]:
        """How the next attempt ends, and how many virtual seconds it takes: by how many have failed so far."""
        failures, options = self.world.checker.failures(run, key), self.tasks[key.node].options
        end, takes = (options[name][min(failures, len(options[name]) - 1)] for name in ("ends", "takes"))
        return end, takes

    def run(self, process: Process, launch: Any, on_output: Callable[[bytes], None], cancel: Any) -> Exit:
        world, env = self.world, launch.env
        run, key = env["SMITHERS_RUN"], TaskKey(env["SMITHERS_NODE"], int(env["SMITHERS_ITERATION"]))
        attempt, options = int(env["SMITHERS_ATTEMPT"]), self.tasks[key.node].options
        end, takes = self.fate(run, key)
        if tuple(launch.argv) == flow.GATE:
            return self._exit(0 if end != "gate" else 1)
        world.checker.program_begins(process, run, key, attempt)
        folder, name = tuple(launch.cwd.parts[-2:]), str(key)
        half = process.work((run, key, attempt), folder, takes, cancel.is_set)
        files = world.folders[folder]
        if cancel.is_set():
            return Exit(None, 15, "cancelled", "cancelled", takes, b"")
        if end == "timeout":
            return Exit(None, 9, "timeout", "took over 30 s", 30.0, b"")
        on_output(f"{key} {end}\n".encode())
        if end == "exit":
            return self._exit(1)
        files.pop(half, None)
        if world.scenario.landings is not None:
            name = f"{run}.{key}"
            if options["shares"]:
                files["shared"] = name.encode()
        files[name] = f"made by {key}".encode()
        return self._exit(0)

    @staticmethod
    def _exit(code: int) -> Exit:
        return Exit(code, None, "exited", f"exited with {code}", 0.5, b"")
