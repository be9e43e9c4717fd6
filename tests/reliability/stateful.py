"""A rule machine over the commands of smithers in one repository, with a user who works in it meanwhile.

After each command the world is looked at through plain git: each run is what the model says (`stateful_model`), and
`ps` and `inbox` say the same; frames only get more, but by a rewind, which keeps them; outputs stay as they were; the
user's branches, checkout and index are as before, but by a landing. In the end the index is a rebuild, what landed is
in the target's history, what a person wrote in a workspace is in git or on the disk, and fsck is content.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from kit import proofs, repos, runs
from kit.repos import git
from reliability.stateful_model import STEPS, Facts, comes_to, write_flow
from reliability.stateful_world import Frame, Said, Seen, World, smithers

from smithers_git.edge.git.usage import reachable

CONFIGS = ("", "[landing]\nstyle = 'squash'\n", "[landing]\nstyle = 'rebase'\n", "[landing]\nstyle = 'sideways'\n")
BROKEN = CONFIGS[-1]
"""A configuration that no command takes."""

which = st.integers(0, 30)
"""Which of several: modulo their number."""


class Machine(RuleBasedStateMachine):
    """`folder` is an empty one of its own; `tally` counts what was done, over all examples."""

    root: Path
    tally: Counter[str]
    number = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).number += 1
        self.folder = self.root / str(self.number)
        self.folder.mkdir(parents=True)
        self.repo = runs.make_repo(self.folder / "repo")
        (self.repo / ".git/info/exclude").write_text("/flow.py\n/.smithers/\n", "utf-8")
        write_flow(self.repo / "flow.py", self.folder)
        (self.repo / ".smithers").mkdir()
        self.world = World(self.repo)
        self.spaces = proofs.space_path(self.repo, "run").parent.parent
        self.seen: dict[str, Seen] = {}
        self.made = 0
        """Names that were given away."""
        self.config = ""
        self.by_hand: dict[str, Path] = {}
        """What a person wrote in a workspace: blob to file."""
        self.landed: list[tuple[str, str]] = []
        self.clone: Path | None = None

    # -- what every command goes through

    def do(self, *argv: str, lands: bool = False) -> Said:
        """One command, and all that must be so after any command."""
        before = self.world.users_own()
        said = smithers(self.repo, *argv)
        self.tally[argv[0]] += 1
        if not lands:
            after = self.world.users_own()
            changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
            assert not changed, f"smithers {' '.join(argv)} changed what is the user's: {changed}\n{said}"
        return said

    def look(self, *, rewound: str = "", said: Said | None = None) -> None:
        """See what became of the runs; only the run `rewound` may have fewer frames than before."""
        before, self.seen = self.seen, self.world.runs()
        assert before.keys() <= self.seen.keys(), "a run is gone"
        for run, old in before.items():
            new = self.seen[run]
            if new.tip == old.tip or run == rewound:
                continue
            assert new.frames[: len(old.frames)] == old.frames, f"{run} lost frames\n{said}"
            again = _taken_back(new.frames[len(old.frames) :])
            for key, blob in old.outputs.items():
                back = key not in new.facts.done or {key[0], f"{key[0]}@{key[1]}"} & again
                assert back or new.outputs[key] == blob, f"the output of {key} of {run} changed"
        self._screens()

    def _screens(self) -> None:
        """`ps` and `inbox` say what the events say."""
        rows = {row["run"]: row for row in smithers(self.repo, "ps", "--all").json["runs"]}
        for run, seen in self.seen.items():
            shown = (rows[run]["status"], rows[run]["frame"], {(one["node"], 0) for one in rows[run]["waiting"]})
            assert shown == (seen.facts.status, seen.number, seen.facts.waiting), f"ps shows {run} as {rows[run]}"
        assert rows.keys() == self.seen.keys()
        inbox = {(one["run"], one["node"]) for one in smithers(self.repo, "inbox").json["waiting"]}
        asked = {
            (run, key[0])
            for run, seen in self.seen.items()
            for key in seen.facts.waiting
            if seen.facts.end is None and key[0] in ("ship", "question")
        }
        assert inbox == asked

    def driven(self, run: str, wanted: Facts, said: Said) -> None:
        """The run was driven by a command, and has come to where the model says."""
        known = {frame.commit for seen in self.seen.values() for frame in seen.frames}
        over = run in self.seen and self.seen[run].facts.end == "finished"
        self.look(said=said)
        fresh = [frame for frame in self.seen[run].frames if frame.commit not in known]
        assert not _taken_back(fresh), f"steps were taken back: {said}"
        found = self.seen[run].facts
        assert (found.end, found.done, found.waiting) == (wanted.end, wanted.done, wanted.waiting), f"{run}: {said}"
        assert not found.running
        assert said.code == {"finished": 0, "failed": 1, None: 3}[found.end]
        assert said.json["status"] == found.status
        assert not (over and fresh), f"{len(fresh)} frames: {said}"
        if found.spaces and not over:  # what a person writes in the workspace of a finished run is theirs
            proofs.files_are_the_frames(self.repo, run)
        for key in found.shown.keys() & found.waiting:
            assert not self.world.moved_on(found, key), f"{key} of {run} is asked about files of before: {said}"
        self._made(run)

    def _made(self, run: str) -> None:
        """What the steps that are done have made is in the code of the run."""
        facts = self.seen[run].facts
        for what, key in STEPS[facts.kind]:
            if what == "make" and key in facts.done:
                commit = facts.spaces["side" if key[0] == "s" else "main"]
                assert git(self.repo, "ls-tree", commit, f"made-{key[0]}"), f"{run} lost what {key} made"

    def refused(self, said: Said) -> None:
        """The command said why it did nothing, and did nothing."""
        before = {run: seen.tip for run, seen in self.seen.items()}
        assert said.code in (1, 2), str(said)
        assert said.json["error"]["message"]
        self.look(said=said)
        assert {run: seen.tip for run, seen in self.seen.items()} == before, f"refused, and yet: {said}"

    def run_of(self, n: int) -> Seen:
        names = sorted(self.seen)
        return self.seen[names[n % len(names)]]

    @property
    def allowed(self) -> bool:
        return (self.folder / "allowed").exists()

    def name(self, kind: str) -> str:
        self.made += 1
        return f"{kind}{self.made}"

    # -- runs

    @initialize(kind=st.sampled_from(sorted(STEPS)))
    def first(self, kind: str) -> None:
        self.up(kind)

    @rule(kind=st.sampled_from(sorted(STEPS)))
    def up(self, kind: str) -> None:
        run = self.name("run")
        said = self.do("up", "flow.py", "--run-id", run, "-i", json.dumps({"kind": kind}))
        if self.config == BROKEN:
            self.refused(said)
            assert run not in self.seen
            return
        self.driven(run, comes_to(Facts(kind=kind), self.allowed), said)

    @rule(n=which)
    def resume(self, n: int) -> None:
        seen = self.run_of(n)
        said = self.do("up", "--resume", seen.run)
        if self.config == BROKEN and seen.facts.end != "finished":
            self.refused(said)
        elif self.config != BROKEN:
            self.driven(seen.run, comes_to(seen.facts, self.allowed), said)

    @rule(n=which, verb=st.sampled_from(["approve", "deny"]))
    def decide(self, n: int, verb: str) -> None:
        seen = self.run_of(n)
        said = self.do(verb, seen.run, "--node", "ship", "--no-resume")
        ship = ("ship", 0)
        asks = seen.facts.end is None and seen.facts.decided.get(ship, False) is None
        stale = asks and (
            self.world.moved_on(seen.facts, ship) or self.world.edited(seen.facts, ship, self.spaces / seen.run)
        )
        self._recorded(seen, said, wanted=asks and not stale, event="approval.decided")
        if stale and self.config != BROKEN:
            self.tally["refused as stale"] += 1
            assert said.json["error"]["code"] == "stale", str(said)
        elif asks and self.config != BROKEN:
            self.refused(self.do(verb, seen.run, "--node", "ship", "--no-resume"))

    @rule(n=which, value=st.sampled_from(['{"n": 3}', '{"n": "many"}', "nonsense"]))
    def answer(self, n: int, value: str) -> None:
        seen = self.run_of(n)
        said = self.do("answer", seen.run, "--node", "question", "--value", value, "--no-resume")
        asks = seen.facts.end is None and ("question", 0) in seen.facts.asked
        self._recorded(seen, said, wanted=asks and value.endswith("3}"), event="wait.resolved")

    @rule(n=which)
    def signal(self, n: int) -> None:
        seen = self.run_of(n)
        said = self.do("signal", seen.run, "go", "--data", "1", "--no-resume")
        self._recorded(seen, said, wanted=seen.facts.end is None, event="signal.arrived")

    @rule(n=which)
    def cancel(self, n: int) -> None:
        seen = self.run_of(n)
        self._recorded(seen, self.do("cancel", seen.run), wanted=seen.facts.end is None, event="run.cancelled")

    @rule(n=which)
    def pause(self, n: int) -> None:
        seen = self.run_of(n)
        wanted = seen.facts.end is None and not seen.facts.paused
        self._recorded(seen, self.do("pause", seen.run), wanted=wanted, event="run.pause-requested")

    def _recorded(self, old: Seen, said: Said, *, wanted: bool, event: str) -> None:
        """One frame with such an event was written, if that was to be; else nothing was."""
        if (said.code and self.config == BROKEN) or not wanted:
            self.refused(said)
        else:
            assert said.code == 0, str(said)
            self.look(said=said)
            fresh = self.seen[old.run].frames[len(old.frames) :]
            assert len(fresh) == 1, f"{len(fresh)} frames: {said}"
            assert event in [one["type"] for one in fresh[0].events]

    # -- time travel

    @rule(n=which, frame=which)
    def rewind(self, n: int, frame: int) -> None:
        old = self.run_of(n)
        number = frame % (old.number + 2)
        tails = self.world.tails(old.run)
        said = self.do("rewind", old.run, "--frame", str(number), "--yes")
        if said.code:
            own = number <= old.number and old.frames[number].run == old.run
            assert not own or self.config == BROKEN, str(said)
            self.look(said=said)  # what lay in its workspaces may have been saved
            return
        self.look(rewound=old.run, said=said)
        new = self.seen[old.run]
        assert new.frames == old.frames[: number + 1], "it is exactly where it was"
        fresh = {tail for tail in self.world.tails(old.run).items() if tail[0] not in tails}
        assert tails.items() <= self.world.tails(old.run).items()
        kept = [self.world.chain(tip) for _, tip in fresh]
        if number < old.number:
            assert [chain[: len(old.frames)] for chain in kept] == [old.frames], "the tail is kept"
        for space in new.facts.spaces:
            folder = self.spaces / new.run / space
            if folder.exists():
                assert proofs.folder(folder) == proofs.tree(self.repo, new.facts.spaces[space])

    @rule(n=which, frame=which, replay=st.booleans())
    def fork(self, n: int, frame: int, replay: bool) -> None:
        old = self.run_of(n)
        run, number = self.name("fork"), frame % (old.number + 2)
        said = self.do("replay" if replay else "fork", old.run, "--frame", str(number), "--run-id", run)
        if number > old.number or (said.code and self.config == BROKEN):
            return self.refused(said)
        wanted = old.at(number)
        wanted._run_forked(("", 0), {})
        if replay:
            return self.driven(run, comes_to(wanted, self.allowed), said)
        assert said.code == 0, str(said)
        self.look(said=said)
        found = self.seen[run].facts
        assert (found.end, found.done, found.waiting) == (None, wanted.done, wanted.waiting)
        return None

    @rule(n=which, m=which)
    def retry_task(self, n: int, m: int) -> None:
        old = self.run_of(n)
        steps = [key for _, key in STEPS[old.facts.kind]]
        node = steps[m % len(steps)][0]
        said = self.do("retry-task", old.run, node, "--no-resume")
        if said.code:
            return self.refused(said)
        self.look(said=said)
        new = self.seen[old.run]
        assert [event["type"] for event in new.frames[-1].events] == ["task.reset"]
        assert new.number == old.number + 1
        again = _taken_back(new.frames[-1:])
        assert node in {name.partition("@")[0] for name in again}
        assert not {key for key in new.facts.done if {key[0], f"{key[0]}@{key[1]}"} & again}
        return None

    @rule()
    def allow(self) -> None:
        """What the task `may` fails without is there now."""
        (self.folder / "allowed").touch()

    # -- landing

    @rule(n=which, onto=st.sampled_from(["main", "other"]), gate=st.sampled_from(["true", "true", "false"]))
    def land(self, n: int, onto: str, gate: str) -> None:
        seen = self.run_of(n)
        dirty = {line[3:] for line in git(self.repo, "status", "--porcelain").splitlines()}
        before, refs = self.world.users_own(), self.world.refs()
        said = self.do("land", seen.run, "--onto", onto, "--gate", gate, lands=True)
        self.look(said=said)
        after = self.world.users_own()
        ref, head = f"refs/heads/{onto}", git(self.repo, "symbolic-ref", "HEAD")
        if said.code or not said.json["landed"]:
            changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
            assert not changed, f"not landed, and yet changed: {changed}\n{said}"
            return
        assert gate == "true"
        commit = said.json["commit"]
        assert after[ref] == commit
        history = git(self.repo, "rev-list", "--first-parent", commit).splitlines()
        assert refs[ref] in history, "the target's first-parent history only grows"
        self.landed.append((onto, commit))
        mine = {ref}
        if head == ref:  # the checkout follows; what the user has changed there stays
            mine |= {".git/index", *git(self.repo, "diff", "--name-only", refs[ref], commit).splitlines()}
            assert {line[3:] for line in git(self.repo, "status", "--porcelain").splitlines()} == dirty
        changed = {name for name in {**before, **after} if before.get(name) != after.get(name)}
        assert not changed - mine, f"changed besides the target: {changed - mine}"
        assert not changed & dirty, f"changed, though the user was at it: {changed & dirty}"
        again = self.do("land", seen.run, "--onto", onto, "--gate", gate, lands=True)
        if not again.code:
            assert self.world.refs()[ref] == commit, f"landed twice: {again}"

    # -- upkeep

    @rule(idle=st.booleans(), fold=st.booleans())
    def gc(self, idle: bool, fold: bool) -> None:
        self._changes_no_run("gc", *["--idle"] * idle, *["--fold-after", "0s"] * fold)

    @rule()
    def reindex(self) -> None:
        self._changes_no_run("reindex")

    @rule()
    def doctor(self) -> None:
        self._changes_no_run("doctor", "--fix")

    def _changes_no_run(self, *argv: str) -> None:
        before = {run: seen.tip for run, seen in self.seen.items()}
        said = self.do(*argv)
        assert said.code == 0 or argv[0] == "doctor" or self.config == BROKEN, str(said)  # it says what needs somebody
        self.look(said=said)
        assert {run: seen.tip for run, seen in self.seen.items()} == before
        proofs.index_is_a_rebuild(self.repo)

    @rule()
    def forget_the_index(self) -> None:
        proofs.forget_index(self.repo)
        self._screens()

    @rule(aggressive=st.booleans())
    def git_gc(self, aggressive: bool) -> None:
        git(self.repo, *(["gc", "-q", "--prune=now"] if aggressive else ["pack-refs", "--all"]))
        self.look()

    @rule(text=st.sampled_from([*CONFIGS, ""]))
    def configure(self, text: str) -> None:
        (self.repo / ".smithers/config.toml").write_text(text, "utf-8")
        self.config = text

    # -- the user

    @rule(n=which)
    def user_commits(self, n: int) -> None:
        repos.write(self.repo, {f"user-{n % 5}.txt": f"{self.name('text')}\n"})
        git(self.repo, "add", f"user-{n % 5}.txt")
        git(self.repo, "commit", "-qm", "by the user")

    @rule()
    def user_switches(self) -> None:
        git(
            self.repo,
            "switch",
            "-q",
            "other" if git(self.repo, "branch", "--show-current") == "main" else "main",
            check=False,
        )

    @initialize()
    def branch(self) -> None:
        git(self.repo, "branch", "other")

    @rule(name=st.sampled_from(["README.md", "user-1.txt", "made-a", "new.txt"]))
    def user_edits(self, name: str) -> None:
        repos.write(self.repo, {name: f"{self.name('edit')}\n"})

    @rule()
    def user_cleans(self) -> None:
        git(self.repo, "reset", "-q", "--hard")
        git(self.repo, "clean", "-qfd")

    @rule(n=which, m=which)
    def edit_in_a_workspace(self, n: int, m: int) -> None:
        folders = self._folders(self.run_of(n).run)
        if folders:
            words = f"{self.name('hand')}\n"
            path = folders[m % len(folders)] / f"hand-{m % 3}.txt"
            self._given_up(path)
            path.write_text(words, "utf-8")
            self.by_hand[git(self.repo, "hash-object", "--stdin", stdin=words.encode())] = path

    @rule(n=which, m=which)
    def delete_a_workspace(self, n: int, m: int) -> None:
        folders = self._folders(self.run_of(n).run)
        if folders:
            folder = folders[m % len(folders)]
            self._given_up(folder)
            shutil.rmtree(folder)

    def _given_up(self, place: Path) -> None:
        """What a person overwrites or throws away is their own affair, but for what a frame holds."""
        known = reachable(self.repo / ".git", set(self.world.refs().values()))
        mine = {blob for blob, path in self.by_hand.items() if place in (path, *path.parents)}
        self.by_hand = {blob: path for blob, path in self.by_hand.items() if blob in known or blob not in mine}

    def _folders(self, run: str) -> list[Path]:
        root = self.spaces / run
        return sorted(path for path in root.iterdir() if (path / ".git").exists()) if root.is_dir() else []

    # -- a clone

    @rule()
    def fetch_into_a_clone(self) -> None:
        if self.clone is None:
            self.clone = self.folder / "clone"
            done = git(self.folder, "clone", "-q", str(self.repo), str(self.clone))
            (self.clone / ".git/info/exclude").write_text("/flow.py\n/.smithers/\n", "utf-8")
            assert done == ""
        git(self.clone, "fetch", "-q", "origin", "+refs/smithers/*:refs/smithers/*", "--prune")
        rows = smithers(self.clone, "ps", "--all").json["runs"]
        shown = {row["run"]: (row["status"], row["frame"]) for row in rows}
        assert shown == {run: (seen.facts.status, seen.number) for run, seen in self.seen.items()}

    @precondition(lambda self: self.clone is not None)
    @rule(n=which, verb=st.sampled_from(["up", "approve"]))
    def go_on_in_the_clone(self, n: int, verb: str) -> None:
        """Someone else goes on with a run in their clone, and their frames are fetched."""
        self.fetch_into_a_clone()
        old = self.run_of(n)
        assert self.clone is not None
        argv = ("up", "--resume", old.run) if verb == "up" else ("approve", old.run, "--node", "ship", "--no-resume")
        said = smithers(self.clone, *argv)
        self.tally["in a clone"] += 1
        ref = f"refs/smithers/runs/{old.run}"
        if git(self.clone, "for-each-ref", ref):
            git(self.repo, "fetch", "-q", str(self.clone), f"{ref}:{ref}")
        self.look(said=said)
        if verb == "up" and said.code in (0, 1, 3) and "error" not in said.json:
            wanted, found = comes_to(old.facts, self.allowed), self.seen[old.run].facts
            assert (found.end, found.done, found.waiting) == (wanted.end, wanted.done, wanted.waiting), str(said)
            self._made(old.run)

    # -- the end

    def teardown(self) -> None:
        try:
            self._all_is_well()
        finally:
            shutil.rmtree(self.folder)

    def _all_is_well(self) -> None:
        self.configure("")
        self.tally["examples"] += 1
        if not self.seen:
            return
        self.look()
        for seen in self.seen.values():
            told = smithers(self.repo, "inspect", seen.run).json
            assert (told["status"], told["frame"]) == (seen.facts.status, seen.number)
            done = {(node["node"], node["iteration"]) for node in told["nodes"] if node["status"] == "finished"}
            assert done == seen.facts.done
        proofs.index_is_a_rebuild(self.repo)
        for onto, commit in self.landed:
            history = git(self.repo, "rev-list", "--first-parent", f"refs/heads/{onto}").splitlines()
            assert commit in history, f"what landed on {onto} is not in its history"
        known = reachable(self.repo / ".git", set(self.world.refs().values()))
        there = set(self._on_disk())
        lost = {str(path) for blob, path in self.by_hand.items() if blob not in known and blob not in there}
        assert not lost, f"what a person wrote is nowhere: {lost}"
        proofs.sound(self.repo)

    def _on_disk(self) -> list[str]:
        return [git(self.repo, "hash-object", str(path)) for path in self.spaces.rglob("hand-*.txt")]


def _taken_back(frames: list[Frame]) -> set[str]:
    """What these frames take back, to be done again: `NODE@ITERATION`, or `NODE` for all its iterations."""
    events = [event for frame in frames for event in frame.events if event["type"] == "task.reset"]
    return {name for event in events for name in event["nodes"]}
