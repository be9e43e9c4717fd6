"""The kill loop: four runs of five agents each in one repository, whose engines are killed at random moments.

An arena is made from a seed: `Arena(seed, ...)`. In it four engines work side by side, so up to twenty agents. One of
the engines is killed, or met with something else that happens to processes and repositories, many times a second;
whoever is dead is resumed. A run that is over is checked and another one begun, until the arena has had
its kills. Then everything is resumed until it is over, and checked (`kill_checks`).
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from kit import engines as kit
from kit import processes, proofs, repos, runs
from kit.engines import Engine, Engines
from reliability import kill_checks, kill_flow

from smithers_git.errors import is_full

LANES = 5
_ROUNDS = 400
"""Resumes of one run after the last kill, after which it is called stuck."""


@dataclass(eq=False)
class Live:
    """A run of the arena, and its newest engine."""

    run: str
    engine: Engine
    tip: str | None = None
    """The newest frame that was seen."""
    others: list[Engine] = field(default_factory=list)
    """Second engines, which may have come first."""
    by_hand: dict[str, str] = field(default_factory=dict)
    """What a person wrote into its workspaces: blob, to the name of the file."""


@dataclass
class Tally:
    """What happened, over all arenas."""

    kills: int = 0
    runs: int = 0
    frames: int = 0
    arenas: int = 0
    faults: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class How:
    """What an arena is like."""

    pause: float
    """Mean seconds between two deeds."""
    faults: bool = False
    """Also other things than that engines are killed."""
    gc_beside: bool = False
    """Also `git gc --prune=now` beside engines."""
    engines: int = 4
    seconds: bool = False
    """Also second engines for a run that has one."""
    small: Path | None = None
    """A small disk for the repository, which is full now and then."""


class Arena:
    """One repository with its engines."""

    def __init__(self, seed: str, folder: Path, tally: Tally, how: How) -> None:
        self.chance = random.Random(seed)
        self.tally = tally
        self.folder = folder
        self.how, self.small = how, how.small
        self.ledgers = folder / "ledgers"
        self.ledgers.mkdir(parents=True)
        self.repo = runs.make_repo((how.small or folder) / "repo")
        (self.repo / ".git/info/exclude").write_text("/flow.py\n/.smithers/\n", "utf-8")
        repos.write(self.repo, {".smithers/config.toml": "[disk]\nfloor = 0\n"})
        os.environ["XDG_STATE_HOME"] = str(folder / "state")  # an arena before this one had runs of the same names
        own = Path(os.environ["XDG_CONFIG_HOME"], "smithers", "config.toml")
        if "[admission]" not in own.read_text("utf-8"):
            with own.open("a", encoding="utf-8") as file:
                file.write(f"[admission]\ngap = 0\nmax_agents = {LANES * how.engines}\n")
        self.script = kill_flow.write(self.repo, self.ledgers)
        self.clock = folder / "clock"
        self.clock.write_text("0", "utf-8")
        self.engines = Engines(self.repo, folder / "logs")
        self.lives: list[Live] = []
        self.number = 0
        self.beside: list[subprocess.Popen[bytes]] = []
        """What the user's own git does meanwhile."""
        self._what = [(60, self._kill)]
        if how.seconds:
            self._what.append((60, self._second))
        if how.faults:
            self._what += [
                (8, self._kill_all), (5, self._kill_one_below), (5, self._stop), (4, self._second), (5, self._jump),
                (2, self._gc), (2 * how.gc_beside, self._gc_beside), (3, self._pack_refs), (3, self._fetch_from),
                (2, self._fetch_into), (4, self._by_hand),
            ]  # fmt: skip
            if how.small is not None:
                self._what.append((5, self._fill))

    def go(self, kills: int) -> None:
        """Until so many processes were killed here, and everything is over and was checked."""
        (self.folder / "logs").mkdir()
        self._clone()
        users = kill_checks.users_own(self.repo)
        wanted = self.tally.kills + kills
        deeds, weights = [what for _, what in self._what], [weight for weight, _ in self._what]
        try:
            while self.tally.kills < wanted:
                self._keep_going(begin=True)
                kit.pause(self.chance.expovariate(1 / self.how.pause))
                live = self.chance.choice(self.lives)
                self.chance.choices(deeds, weights)[0](live)
            for _ in range(_ROUNDS):
                self._keep_going(begin=False)
                if not self.lives:
                    break
                self.lives[0].engine.wait()
            assert not self.lives, f"never over: {[live.run for live in self.lives]}"
            self._settle()
            kill_checks.repository_is_sound(self.repo, users)
            self.tally.arenas += 1
        finally:
            self.engines.end()
            self._settle()

    # -- engines

    def _keep_going(self, *, begin: bool) -> None:
        """Look at what has ended: resume it, or check it and begin another."""
        for live in list(self.lives):
            if not live.engine.alive:
                self._look(live)
                code = live.engine.wait()
                if code == 0:
                    self._over(live)
                else:
                    self._understood(live, code)
                    self._start(live)
        while begin and len(self.lives) < self.how.engines:
            live = Live(f"run-{self.number}", None)  # type: ignore[arg-type]  # started in the next line
            self.number += 1
            self._start(live)
            self.lives.append(live)

    def _start(self, live: Live) -> None:
        (self.ledgers / live.run).touch()
        os.environ["SMITHERS_SCRIPT"] = str(self.script)
        os.environ["SMITHERS_TEST_CLOCK"] = str(self.clock)
        argv = ["up", "--resume", live.run]
        if live.tip is None:
            told = f'{{"lanes": {LANES}}}'
            argv = ["up", "flow.py", "--run-id", live.run, "-i", told, "--max-concurrency", str(LANES + 1)]
        live.engine = self.engines.start(*argv)

    def _understood(self, live: Live, code: int) -> None:
        """An engine ends by a kill, or because it cannot go on now; never by an error of ours, never as failed."""
        if code == -signal.SIGKILL:
            return
        said = live.engine.err
        # The git process that makes the first ref outlives its engine by a moment, and is not looked for.
        begun = "there is already a run" in said
        excused = code == 3 or is_full(said) or "is owned by process" in said or begun
        assert excused, f"{live.run} ended with {code}:\n{live.engine.out}\n{said}"
        self.clock.write_text(str(float(self.clock.read_text()) + 3600.0), "utf-8")  # it may wait for a time

    def _look(self, live: Live) -> None:
        """P1: what was seen as a frame is still there, behind what is the newest now."""
        newest = kit.tip(self.repo, live.run)
        if live.tip is not None:
            assert newest is not None, f"{live.run} is gone; it was at {live.tip}"
            kept = kit._project(self.repo).objects.is_ancestor(live.tip, newest)
            assert kept, f"{live.run}: the frame {live.tip} was lost, it is at {newest}"
        live.tip = newest

    def _over(self, live: Live) -> None:
        kill_checks.run_is_whole(self.repo, live.run, LANES, self.ledgers / live.run)
        kill_checks.kept_by_hand(self.repo, live.run, live.by_hand)
        self.tally.runs += 1
        self.tally.frames += len(kit.frames(self.repo, live.run))
        self.lives.remove(live)

    # -- deeds

    def _count(self, name: str) -> None:
        self.tally.faults[name] += 1

    def _kill(self, live: Live) -> None:
        if live.engine.alive:
            self._look(live)
            live.engine.kill()
            self.tally.kills += 1

    def _kill_all(self, live: Live) -> None:
        """The engine and all that it started, as when a container is ended."""
        if live.engine.alive:
            self._look(live)
            below = proofs.started_by(live.run)
            live.engine.signal(signal.SIGSTOP)
            for pid in below:
                _signal(pid, signal.SIGKILL)
            live.engine.kill()
            self.tally.kills += 1
            self._count("kills of an engine with all below it")

    def _kill_one_below(self, live: Live) -> None:
        """An agent, what an agent runs, or the parent of its tree."""
        below = proofs.started_by(live.run)
        if below and live.engine.alive:
            _signal(self.chance.choice(below), signal.SIGKILL)
            self.tally.kills += 1
            self._count("kills of a process below an engine")

    def _stop(self, live: Live) -> None:
        """SIGSTOP, as a laptop that sleeps; another engine tries meanwhile; then SIGCONT, or a kill."""
        if not live.engine.alive:
            return
        live.engine.signal(signal.SIGSTOP)
        self._count("stops")
        if self.chance.random() < 0.5:
            self._second(live)
        kit.pause(self.chance.uniform(0.0, 0.5))
        if self.chance.random() < 0.3:
            self._kill(live)
        else:
            live.engine.signal(signal.SIGCONT)

    def _second(self, live: Live) -> None:
        """A second engine: refused as long as the first one lives, and never two at work."""
        if kit.tip(self.repo, live.run) is None:
            return
        os.environ["SMITHERS_TEST_CLOCK"] = str(self.clock)
        second = self.engines.start("up", "--resume", live.run)
        self._count("second engines")
        if self.how.seconds or self.chance.random() < 0.3:
            live.others.append(second)
            return  # whoever comes first works
        if not processes.eventually(lambda: not second.alive) and live.engine.alive:
            live.engine.signal(signal.SIGCONT)  # stopped with a lock that the second one waits for
        code = second.wait() if live.engine.alive else None
        if code == 0:  # the first one was about to leave
            assert kit.state_of(self.repo, live.run).end == "finished"
        elif code is not None:
            self._understood(Live(live.run, second), code)

    def _jump(self, live: Live) -> None:
        """The clock on the wall jumps, up to a day to either side."""
        self.clock.write_text(str(self.chance.choice([-86400, -3600, -60, -1, 0, 1, 60, 3600, 86400])), "utf-8")
        self._count("jumps of the clock")

    def _gc(self, live: Live) -> None:
        """The user's own, while no engine is alive: git itself says that nobody may write meanwhile."""
        for one in self.lives:
            self._kill(one)
        self.engines.end()  # a second engine too
        self._settle()
        repos.git(self.repo, "gc", "-q", "--prune=now")
        self._count("git gc --prune=now, between engines")

    def _gc_beside(self, live: Live) -> None:
        self._git("gc", "-q", "--prune=now", what="git gc --prune=now, beside engines")

    def _pack_refs(self, live: Live) -> None:
        self._git("pack-refs", "--all", "--prune", what="git pack-refs")

    def _fetch_from(self, live: Live) -> None:
        """A clone fetches all of our refs."""
        self._git(
            "-C",
            str(self.folder / "clone"),
            "fetch",
            "-q",
            "origin",
            "+refs/*:refs/copy/*",
            what="git fetch of our refs",
        )

    def _fetch_into(self, live: Live) -> None:
        """Others have pushed, and the user fetches."""
        clone = self.folder / "clone"
        tree = repos.git(clone, "rev-parse", "origin/main^{tree}")
        commit = repos.git(clone, "commit-tree", tree, "-m", f"theirs {self.chance.random()}")
        repos.git(clone, "update-ref", "refs/heads/theirs", commit)
        self._git("fetch", "-q", str(clone), "+refs/heads/*:refs/remotes/clone/*", what="git fetch of other work")

    def _by_hand(self, live: Live) -> None:
        """A person writes into a workspace while nobody drives its run."""
        self._kill(live)
        for other in live.others:
            other.kill()
        root = proofs.space_path(self.repo, live.run).parent
        spaces = sorted(path for path in root.iterdir() if (path / ".git").exists()) if root.is_dir() else []
        if not spaces or kit.tip(self.repo, live.run) is None or kit.state_of(self.repo, live.run).end is not None:
            return  # nobody looks at a run that is over
        name, words = f"by-hand-{self.chance.randrange(10**9)}", f"{self.chance.random()}\n"
        (self.chance.choice(spaces) / name).write_text(words, "utf-8")
        blob = repos.git(self.repo, "hash-object", "--stdin", stdin=words.encode())
        live.by_hand[blob] = name
        self._count("edits by hand")

    def _fill(self, live: Live) -> None:
        """The disk of the repository is full for a moment."""
        assert self.small is not None
        ballast = self.small / "ballast"
        free = shutil.disk_usage(self.small).free
        with ballast.open("wb") as file:
            with suppress(OSError):  # the engines were quicker: then it is nearly full as it is
                os.posix_fallocate(file.fileno(), 0, max(1, free - self.chance.choice([0, 4096, 65536, 1 << 20])))
            kit.pause(self.chance.uniform(0.05, 0.8))
        ballast.unlink()
        self._count("full disks")

    # -- the user's own git

    def _clone(self) -> None:
        done = subprocess.run(["git", "clone", "-q", str(self.repo), str(self.folder / "clone")], capture_output=True)
        assert done.returncode == 0, done.stderr

    def _git(self, *argv: str, what: str) -> None:
        self.beside = [one for one in self.beside if one.poll() is None]
        if not self.beside:  # a fetch beside a gc that prunes breaks what it fetched, without us
            quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            self.beside.append(subprocess.Popen(["git", *argv], cwd=self.repo, **quiet))
            self._count(what)

    def _settle(self) -> None:
        for one in self.beside:
            one.wait(60)
        self.beside = []


def _signal(pid: int, number: signal.Signals) -> None:
    if processes.alive(pid):
        with suppress(ProcessLookupError):  # it ended by itself just now
            os.kill(pid, number)
