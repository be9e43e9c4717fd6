"""`kanban`: tickets come home, each tested on top of what landed before it; every other one says why it did not."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from kit import repos
from kit.repos import git
from kit.script_agent import Stage, statuses, turn

from smithers_git.core import events as ev
from smithers_git.core.state import State
from smithers_git.edge import content
from smithers_git.names import TaskKey
from smithers_git.service import approvals, control, drive, launch
from smithers_git.service.approvals import Answer
from smithers_git.service.drive import Drive, Resume
from smithers_git.service.project import Project
from smithers_git.service.watcher import Watcher

ONTO = "smithers/integration"
FILES = {
    "check.sh": 'for rule in rules/*.sh; do sh "$rule" || exit 1; done\n',
    "rules/ok.sh": "true\n",
    "shared.txt": "first\nshared\nlast\n",
}
"""A project whose check is green while every script in `rules` is."""
APPROVED = {"approved": True, "summary": "good", "blocking": []}
APPROVE_ALL = turn("*.review", answer=APPROVED)


@pytest.fixture
def board(stage: Stage) -> Stage:
    repos.commit(stage.repo, FILES)
    return stage


def put(stage: Stage, id: str, *needs: str, text: str = "Please.", priority: int = 0) -> None:
    """A ticket file."""
    head = f"id = '{id}'\ntitle = 'Do {id}'\ndepends_on = {list(needs)}\npriority = {priority}"
    head += f"\nacceptance = ['{id} works']"
    repos.write(stage.repo, {f".smithers/tickets/{id}.md": f"+++\n{head}\n+++\n\n{text}\n"})


def work(id: str, iteration: int | None = None, *expect: str, **deeds: Any) -> dict[str, Any]:
    """A turn of the implementer of a ticket, who leaves the file `ID.txt` unless `deeds` say otherwise."""
    did = deeds or {"write": [{"path": f"{id}.txt", "text": f"{id}\n"}]}
    return turn(
        f"{id}.implement", iteration, expect=list(expect), **did, answer={"summary": f"did {id}", "files_changed": []}
    )


def once_landed(path: str, text: str) -> str:
    """A shell line that waits until `path` on the integration branch holds `text`."""
    look = f"git show {ONTO}:{path} 2>/dev/null | grep -q '{text}'"
    return f"for i in $(seq 400); do {look} && break; sleep 0.05; done"


def columns(stage: Stage, state: State) -> dict[str, dict[str, str]]:
    """The board of a run that is over: why, by ticket, by column."""
    found = stage.output(state, "board")
    return {name: {card["ticket"]: card["why"] for card in found[name]} for name in found if name != "notes"}


def landed_on(stage: Stage, ref: str = ONTO) -> dict[str, str]:
    """Commit by ticket, as the trailers of the first-parent history have it."""
    form = "--format=%(trailers:key=Smithers-Ticket,valueonly,separator=%x2C) %H"
    rows = git(stage.repo, "log", "--first-parent", "--ignore-missing", form, ref, "--").splitlines()
    return {ticket: commit for ticket, _, commit in (row.partition(" ") for row in rows) if ticket}


def decide(stage: Stage, run: str, node: str, approved: bool, note: str = "") -> None:
    project = Project.open(stage.repo)
    approvals.decide(project, approvals.choose(project, run, node), Answer(approved, "Ada", note))


def go_on(stage: Stage, run: str, said: list[str] | None = None) -> State:
    watcher = Watcher(noted=said.append) if said is not None else Watcher()
    return drive.go(Project.open(stage.repo), run, Resume(), Drive(watcher))


SEVENTH = work(
    "seven",
    0,
    # Green by itself. Its worktree began before `three` was there, and it comes home after it.
    write=[{"path": "rules/seven.sh", "text": "test ! -e three.txt || { echo 'three is too much'; exit 1; }\n"}],
    run=[once_landed("three.txt", "three")],
)
LEFT = work("left", edit=[{"path": "shared.txt", "find": "shared", "replace": "left"}])
RIGHT = work(
    "right",
    0,
    edit=[{"path": "shared.txt", "find": "shared", "replace": "right"}],
    run=[once_landed("shared.txt", "left")],
)
SCRIPT = [
    *(work(id) for id in ("one", "two", "three", "four")),
    work("five", edit=[{"path": "one.txt", "find": "one", "replace": "one, then five"}]),
    LEFT,
    RIGHT,
    work(
        "right",
        1,
        "It conflicts with what landed there meanwhile",
        "- `left`: Do left (did left)",
        "- `shared.txt`",
        "pass 2 of at most 2",
        run=["grep -q '^<<<<<<< ' shared.txt"],
        write=[{"path": "shared.txt", "text": "first\nleft and right\nlast\n"}],
    ),
    SEVENTH,
    work("seven", 1, "a gate is red", "three is too much", say="I do not see it."),
    work("ten", write=[{"path": "rules/ten.sh", "text": "echo 'ten is never content'; exit 1\n"}]),
    APPROVE_ALL,
]


def test_ten_tickets_come_home_or_say_why_not(board: Stage) -> None:
    for id in ("three", "seven", "left", "right"):  # begun side by side, before anything has landed
        put(board, id, priority=9)
    for id in ("one", "two", "four", "ten"):
        put(board, id)
    put(board, "five", "one")
    put(board, "six", "ten")
    before = git(board.repo, "rev-parse", "main")
    board.play(*SCRIPT)

    state = board.up("kanban", max_iterations=2)

    assert state.end == "finished"
    assert columns(board, state) == {
        "landed": dict.fromkeys(["left", "right", "three", "five", "four", "one", "two"], ""),
        "failed": {
            "seven": "its check is red: three is too much, after 2 passes",
            "ten": "its check is red: ten is never content, after 2 passes",
        },
        "blocked": {"six": "ten failed: its check is red: ten is never content, after 2 passes"},
        "skipped": {},
    }
    cards = {card["ticket"]: card["commit"] for card in board.output(state, "board")["landed"]}
    assert landed_on(board) == cards, "each landed by a commit of its own"
    assert git(board.repo, "show", f"{ONTO}:shared.txt") == "first\nleft and right\nlast"
    assert git(board.repo, "show", f"{ONTO}:one.txt") == "one, then five"
    assert git(board.repo, "rev-parse", "main") == before
    assert git(board.repo, "status", "--porcelain") == ""
    board.smithers("verify", f"main..{ONTO}")

    # A fresh run takes up only what is left.
    board.play(
        work("seven", None, write=[{"path": "rules/seven.sh", "text": "true\n"}]), work("ten"), work("six"), APPROVE_ALL
    )
    again = board.up("kanban")
    assert sorted(columns(board, again)["landed"]) == ["seven", "six", "ten"]
    assert {card["ticket"]: card["commit"] for card in board.output(again, "board")["skipped"]} == cards
    assert len(landed_on(board)) == 10


def test_a_ticket_begins_when_what_it_depends_on_has_landed_and_not_before(board: Stage) -> None:
    put(board, "a")
    put(board, "b", "a", priority=5)
    board.play(
        work("a"),
        work("b", None, run=["cat a.txt"], edit=[{"path": "a.txt", "find": "a", "replace": "b"}]),
        APPROVE_ALL,
    )
    state = board.up("kanban")
    assert list(columns(board, state)["landed"]) == ["b", "a"], "in the order of the board"
    begun = [str(key) for key in state.nodes if key.node.endswith(".implement") or key.node.endswith(".land")]
    assert begun == ["a.implement", "a.land", "b.implement", "b.land"]


def test_a_ticket_says_all_that_it_says_to_who_implements_and_who_reviews_it(board: Stage) -> None:
    put(board, "a", text="Mind the gap.")
    wanted = ["Ticket `a`: Do a", "Mind the gap.", "- a works", "Use British spelling.", "sh check.sh"]
    seen = ["Ticket `a`: Do a", "1. a works", "Use British spelling.", "did a"]
    board.play(work("a", 0, *wanted), turn("a.review", expect=seen, answer=APPROVED))
    state = board.up("kanban", prompt="Use British spelling.")
    assert columns(board, state)["landed"] == {"a": ""}
    (commit,) = landed_on(board).values()
    assert git(board.repo, "log", "-1", "--format=%B", commit).startswith("Do a\n\ndid a\n")


def test_only_what_was_asked_for_is_begun(board: Stage) -> None:
    put(board, "a")
    put(board, "b", "a")
    put(board, "c")
    board.play(work("c"), APPROVE_ALL)
    git(board.repo, "branch", "next")
    state = board.up("kanban", tickets=["b", "c"], onto="next")
    assert columns(board, state) == {
        "landed": {"c": ""},
        "failed": {},
        "blocked": {"b": "a has not landed and is not on this board"},
        "skipped": {},
    }
    assert list(landed_on(board, "next")) == ["c"]


def test_a_refusal_and_a_red_check_go_into_the_next_pass(board: Stage) -> None:
    put(board, "a")
    red = [{"path": "rules/a.sh", "text": "echo 'a is missing'; exit 1\n"}]
    issue = {"where": "a.txt:1", "problem": "it is empty", "wanted": "a word"}
    board.play(
        work("a", 0, write=red),
        work("a", 1, "The check is red", "a is missing", write=[{"path": "rules/a.sh", "text": "true\n"}]),
        turn("a.review", 1, answer={"approved": False, "summary": "half of it", "blocking": [issue]}),
        work("a", 2, "The review refused it", "it is empty"),
        turn("a.review", 2, expect=["Refused before for this", "it is empty"], answer=APPROVED),
    )
    state = board.up("kanban")
    assert columns(board, state)["landed"] == {"a": ""}
    assert statuses(state, "a.review") == ["skipped", "finished", "finished"]
    assert statuses(state, "a.land") == ["skipped", "skipped", "finished"]


@pytest.mark.parametrize("style", ["rebase", "squash"])
def test_markers_that_stay_in_a_file_go_back_before_anything_is_checked(style: str, board: Stage) -> None:
    put(board, "left", priority=9)
    put(board, "right", priority=9)
    both = [{"path": "shared.txt", "text": "both\n"}]
    board.play(
        LEFT,
        RIGHT,
        work("right", 1, say="I leave it as it is."),
        work("right", 2, "Conflicts are still in the files", "shared.txt still held", write=both),
        APPROVE_ALL,
    )
    state = board.up("kanban", style=style)
    assert sorted(columns(board, state)["landed"]) == ["left", "right"]
    assert statuses(state, "right.check") == ["finished", "skipped", "finished"]
    assert board.output(state, "right.markers", 1) == {"files": ["shared.txt"]}
    assert git(board.repo, "show", f"{ONTO}:shared.txt") == "both"
    assert "Merge" not in git(board.repo, "log", "--format=%s", ONTO)
    board.smithers("verify", f"main..{ONTO}")


def test_an_agent_that_cannot_work_gives_up_its_ticket_and_no_other(board: Stage) -> None:
    put(board, "a")
    put(board, "b", "a")
    put(board, "c")
    board.play(turn("a.implement", fail={"kind": "refusal", "message": "I may not"}), work("c"), APPROVE_ALL)
    state = board.up("kanban")
    found = columns(board, state)
    assert found["failed"]["a"].startswith("implement failed: I may not")
    assert list(found["blocked"]) == ["b"]
    assert list(found["landed"]) == ["c"]
    assert state.failed_children == ["a.implement"]


def test_a_gate_that_is_not_the_check_goes_back_as_such(board: Stage) -> None:
    put(board, "a")
    board.configure(check="sh check.sh", landing={"gates": ["test ! -e a.txt || grep -q twice a.txt"]})
    board.play(
        work("a", 0),
        work("a", 1, "A gate of the queue is red on exactly these files", write=[{"path": "a.txt", "text": "twice"}]),
        APPROVE_ALL,
    )
    state = board.up("kanban")
    assert columns(board, state)["landed"] == {"a": ""}
    assert board.output(state, "a.land", 0)["reason"] == "red"


def test_strict_fails_the_run_at_its_end_when_a_ticket_did_not_land(board: Stage) -> None:
    put(board, "a")
    put(board, "b", "a")
    put(board, "c")
    bad = {"approved": False, "summary": "no", "blocking": [{"where": "a", "problem": "p", "wanted": "w"}]}
    board.play(work("a"), work("c"), turn("a.review", answer=bad), APPROVE_ALL)
    state = board.up("kanban", strict=True, max_iterations=1, code=1)
    assert "2 of 3 tickets did not land: a (failed: the review refused it: no, after 1 pass); b (blocked: " in str(
        state.error
    )
    assert list(columns(board, state)["landed"]) == ["c"]


def test_a_person_is_asked_before_each_ticket_lands(board: Stage) -> None:
    put(board, "a")
    put(board, "b")
    board.play(
        work("a", 0), work("a", 1, "A person said no", "Ada did not let it land: too long"), work("b"), APPROVE_ALL
    )
    state = board.up("kanban", approve=True, code=3)
    assert sorted(str(key) for key in state.waiting()) == ["a.approve", "b.approve"]
    assert "did a" in state.approvals[TaskKey("a.approve")].summary
    assert landed_on(board) == {}
    decide(board, state.run, "a.approve", approved=False, note="too long")
    decide(board, state.run, "b.approve", approved=True)
    state = go_on(board, state.run)
    assert list(landed_on(board)) == ["b"]
    decide(board, state.run, "a.approve@1", approved=True)
    state = go_on(board, state.run)
    assert sorted(columns(board, state)["landed"]) == ["a", "b"]


def test_tickets_that_change_while_the_run_is_paused_are_noticed_and_named(board: Stage) -> None:
    for id in ("a", "b"):
        put(board, id, priority=1)
    for id in ("c", "d"):
        put(board, id, "a")
    board.play(
        work("a", 0),
        work("a", 1, "The ticket was edited", "Now in two words."),
        *(work(id) for id in ("b", "d", "e")),
        APPROVE_ALL,
    )
    state = board.up("kanban", approve=True, code=3)
    control.pause(Project.open(board.repo), state.run, "Ada")
    put(board, "a", text="Now in two words.")
    for id in ("b", "c"):  # one that is being worked on, one that is not begun
        (board.repo / f".smithers/tickets/{id}.md").unlink()
    put(board, "e")
    for id in ("a", "b"):
        decide(board, state.run, f"{id}.approve", approved=True)
    said: list[str] = []
    state = go_on(board, state.run, said)
    assert board.output(state, "survey-1")["changes"] == {"edited": ["a"], "added": ["e"], "deleted": ["b", "c"]}
    while state.waiting():
        for key in [str(key) for key in state.waiting()]:
            decide(board, state.run, key, approved=True)
        state = go_on(board, state.run)
    assert sorted(columns(board, state)["landed"]) == ["a", "b", "d", "e"]
    assert board.output(state, "a.ticket")["body"] == "Now in two words."
    notes = board.output(state, "board")["notes"]
    assert notes == ["ticket a was edited", "ticket e was added", "ticket b was deleted", "ticket c was deleted"]
    assert [line for line in said if line in notes] == notes, "and they were told at once"


def test_tickets_that_change_after_ctrl_c_are_noticed_too(board: Stage) -> None:
    put(board, "a")
    board.play(turn("a.implement", attempt=1, hang=True), work("a"), work("b"), APPROVE_ALL)
    project = Project.open(board.repo)
    run = launch.begin(project, launch.Request("kanban", cwd=board.repo)).created.run

    def stop(_state: State, events: tuple[ev.Event, ...], _at: float) -> None:
        if any(isinstance(one, ev.TaskStarted) and one.node == "a.implement" for one in events):
            driving.stop("SIGINT")

    driving = Drive(Watcher(recorded=stop))
    assert drive.go(project, run, Resume(), driving).end is None
    put(board, "b")
    state = go_on(board, run)
    assert board.output(state, "board")["notes"] == ["ticket b was added"]
    assert sorted(columns(board, state)["landed"]) == ["a", "b"]


def test_a_ticket_that_breaks_while_the_run_is_paused_keeps_its_text(board: Stage) -> None:
    put(board, "a")
    board.play(work("a"), APPROVE_ALL)
    state = board.up("kanban", approve=True, code=3)
    control.pause(Project.open(board.repo), state.run, "Ada")
    repos.write(board.repo, {".smithers/tickets/a.md": "+++\nid = "})
    decide(board, state.run, "a.approve", approved=True)
    state = go_on(board, state.run)
    assert columns(board, state)["landed"] == {"a": ""}
    (note,) = board.output(state, "board")["notes"]
    assert note.startswith("ticket a stays as it was: .smithers/tickets/a.md:1: ")


def test_tickets_that_do_not_fit_together_stop_it_before_a_token_is_spent(board: Stage) -> None:
    put(board, "a", "b")
    put(board, "b", "a")
    state = board.up("kanban", code=1)
    assert str(state.error).startswith(
        "survey failed: the tickets do not fit together: .smithers/tickets/a.md: it depends"
    )
    assert set(state.latest) == set()


def test_without_a_check_command_nothing_starts(board: Stage) -> None:
    board.configure()
    document = board.smithers("up", "kanban", code=1)
    assert "check command" in document["error"]["message"]
    assert ".smithers/config.toml" in document["error"]["hint"]


# -- bringing what landed into a ticket that was refused


def merge(repo: Path, branch: str = "target") -> tuple[int, str]:
    """Run the pack's script in `repo`; its exit code, and what it printed."""
    work = content.load_module(content.list_packs(None)["kanban"] / "work.py", "kanban_work")
    command = ["sh", "-c", work.MERGE, "merge", branch, "a.merge"]
    done = subprocess.run(command, cwd=repo, capture_output=True, text=True)
    return done.returncode, done.stdout


@pytest.fixture
def sides(repo: Path) -> Path:
    """A checkout of `ticket`, a branch `target` that went on, hooks that refuse, and settings in the way of a merge."""
    git(repo, "branch", "target")
    git(repo, "switch", "-qc", "ticket")
    repos.commit(repo, {"mine.txt": "mine\n"}, "mine")
    git(repo, "switch", "-q", "target")
    repos.commit(repo, {"theirs.txt": "theirs\n"}, "theirs")
    git(repo, "switch", "-q", "ticket")
    for name in ("pre-merge-commit", "pre-commit", "commit-msg", "prepare-commit-msg", "reference-transaction"):
        repos.write(repo, {f".git/hooks/{name}": "#!/bin/sh\nexit 1\n"})
        (repo / ".git" / "hooks" / name).chmod(0o755)
    for key, value in (("merge.ff", "only"), ("commit.gpgSign", "true"), ("gpg.program", "false")):
        git(repo, "config", key, value)
    return repo


def test_what_landed_is_merged_with_the_target_as_first_parent(sides: Path) -> None:
    assert merge(sides) == (0, "")
    assert git(sides, "log", "-1", "--format=%s %an") == "a.merge: attempt 1 Ada Tester"
    assert git(sides, "rev-parse", "HEAD^1") == git(sides, "rev-parse", "target")
    assert git(sides, "log", "--format=%s", "HEAD^2..HEAD^1") == "theirs"
    assert git(sides, "symbolic-ref", "HEAD") == "refs/heads/ticket"
    assert (git(sides, "status", "--porcelain"), (sides / ".git/MERGE_HEAD").exists()) == ("", False)


def test_conflicts_are_committed_with_their_markers_and_named(sides: Path) -> None:
    hooks = sides / ".git" / "hooks"
    hooks.rename(sides / ".git" / "away")
    git(sides, "config", "commit.gpgSign", "false")
    repos.commit(sides, {"sub/über.txt": "mine\n"}, "more of mine")
    git(sides, "switch", "-q", "target")
    repos.commit(sides, {"sub/über.txt": "theirs\n"}, "more of theirs")
    git(sides, "switch", "-q", "ticket")
    (sides / ".git" / "away").rename(hooks)
    code, said = merge(sides)
    assert (code, said.splitlines()[-1]) == (1, "conflict: sub/über.txt")
    assert git(sides, "status", "--porcelain") == ""
    assert "<<<<<<< HEAD\nmine\n" in git(sides, "show", "HEAD:sub/über.txt")


def test_what_is_merged_already_is_left_alone(sides: Path) -> None:
    merge(sides)
    before = git(sides, "rev-parse", "HEAD")
    assert merge(sides) == (3, "")
    assert git(sides, "rev-parse", "HEAD") == before


def test_nobody_needs_to_be_somebody(sides: Path, home: Path) -> None:
    (home / ".gitconfig").write_text("[user]\n\tuseConfigOnly = true\n")
    assert merge(sides)[0] == 0
    assert git(sides, "log", "-1", "--format=%an") == "smithers"


def test_a_merge_that_git_refuses_is_told_and_changes_nothing(sides: Path) -> None:
    before = git(sides, "rev-parse", "HEAD")
    (sides / "theirs.txt").write_text("in the way")
    assert merge(sides)[0] == 2
    assert merge(sides, "no-such-branch")[0] == 2
    assert git(sides, "rev-parse", "HEAD") == before
