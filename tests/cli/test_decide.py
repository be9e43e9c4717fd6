"""approve, deny, cancel and pause."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pexpect
import pytest
from kit.processes import eventually
from kit.repos import git
from kit.runs import Shipped, Smithers
from kit.terminal import Terminal

ASK = """\
    return Sequence(
        Task("make", run="echo made > made.txt"),
        Approval("ship", title="Ship it?", summary="one file was made", on_deny="continue"),
        Task("last", run="echo done > done.txt"),
    )
"""
TWO = """\
    return Parallel(Approval("left", title="Left?"), Approval("right", title="Right?"))
"""


def _over(smithers: Smithers, run: str) -> bool:
    return bool(smithers.json("inspect", run)["status"] == "finished")


def test_an_approval_is_a_frame_with_who_and_why_and_the_run_goes_on(smithers: Smithers) -> None:
    run = smithers.up(body=ASK, code=3)

    said = smithers("approve", run[:4], "--note", "looks right")

    assert "approved by Ada Tester <ada@example.test>" in said.out
    assert f"smithers logs -f {run}" in said.err
    assert eventually(lambda: _over(smithers, run))
    (decided,) = smithers.json("events", run, "--type", "approval.decided")["events"]
    assert (decided["approved"], decided["note"]) == (True, "looks right")
    assert git(smithers.repo, "show", f"refs/smithers/runs/{run}:code/main/done.txt") == "done"


def test_a_denial_is_recorded_and_the_workflow_decides_what_follows(smithers: Smithers) -> None:
    run = smithers.up(body=ASK, code=3)

    document = smithers.json("deny", run, "--node", "ship", "--by", "Eve", "--note", "not yet", "--no-resume")

    assert (document["decision"], document["by"], document["resumed"]) == ("denied", "Eve", False)
    assert smithers.json("output", run, "ship") == {"approved": False, "by": "Eve", "note": "not yet"}
    smithers("up", "--resume", run)


def test_without_a_terminal_and_without_a_run_the_commands_are_listed(shipped: Shipped) -> None:
    said = shipped.smithers("approve", "--json", code=2)

    assert said.json["error"]["hint"] == f"smithers approve {shipped.run} --node ship"


def test_when_nothing_waits_that_is_said(smithers: Smithers) -> None:
    assert "nothing waits" in smithers("approve", code=1).err


def test_one_of_two_has_to_be_named(smithers: Smithers) -> None:
    run = smithers.up(body=TWO, code=3)

    assert "--node NODE" in smithers("approve", run, code=2).err
    smithers("approve", run, "--node", "left", "--no-resume")
    assert "already approved" in smithers("approve", run, "--node", "left", code=1).err
    assert smithers.json("why", run)["blockers"][0]["node"] == "right"


def test_an_approval_of_a_paused_run_does_not_start_it(smithers: Smithers) -> None:
    run = smithers.up(body=ASK, code=3)
    smithers("pause", run)

    said = smithers("approve", run)

    assert f"the run is paused; go on with: smithers up --resume {run}" in said.err
    assert smithers.json("ps")["runs"][0]["status"] == "paused"


def test_an_approval_says_when_the_run_cannot_go_on_by_itself(smithers: Smithers) -> None:
    run = smithers.up(body=ASK, code=3)
    flow = smithers.repo / "flow.py"
    flow.write_text(flow.read_text() + "# changed\n")

    said = smithers("approve", run)

    assert "cannot go on by itself: its workflow was changed (changed flow.py)" in said.err
    assert f"smithers why {run}" in said.err
    kinds = [blocker["kind"] for blocker in smithers.json("why", run)["blockers"]]
    assert "source-changed" in kinds


def test_a_waiting_run_is_cancelled_at_once(smithers: Smithers) -> None:
    run = smithers.up(body=ASK, code=3)

    assert smithers.json("cancel", run)["cancelled"] is True
    assert "is cancelled and cannot be cancelled" in smithers("cancel", run, code=1).err
    assert smithers.json("ps", "--status", "cancelled")["runs"][0]["run"] == run


def test_a_paused_run_is_paused_once(smithers: Smithers) -> None:
    run = smithers.up(body=ASK, code=3)
    smithers("pause", run)

    assert f"smithers up --resume {run}" in smithers("pause", run, code=1).err


# -- on a terminal


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("PROMPT_TOOLKIT_NO_CPR", "1")  # nobody answers "where is the cursor?" here
    monkeypatch.setenv("NO_COLOR", "1")


def _ends(child: Terminal) -> int | None:
    child.expect(pexpect.EOF)
    child.close()
    return child.exitstatus


@pytest.mark.usefixtures("terminal")
def test_on_a_terminal_one_chooses_reads_the_request_and_confirms(smithers: Smithers) -> None:
    smithers.up("--run-id", "first", body=ASK, code=3)
    smithers.up("--run-id", "second", body=ASK, code=3)
    child = Terminal(smithers.repo, "approve", "--no-resume")

    child.expect("What do you want to approve")
    child.expect("second ship: Ship it")
    child.send("\x1b[B\r")  # down, Enter: the second line, as the oldest comes first
    child.expect("one file was made")
    child.expect(r"made\.txt *\| 1 \+")
    child.expect("What do you say")
    child.send("\x1b[B\x1b[B\r")  # add a note
    child.expect("A note")
    child.send("fine by me\r")
    child.expect("change the note")
    child.send("\r")
    child.expect(r"Approve ship of run second\?")
    child.send("y")
    child.expect("ship of run second approved")
    child.expect("1 more decision waits: smithers approve")
    child.expect(pexpect.EOF)
    child.close()

    assert child.exitstatus == 0
    assert smithers.json("output", "second", "ship")["note"] == "fine by me"
    assert smithers.json("inspect", "first")["status"] == "waiting"


GIVE_UP = [["\x03"], ["\r", "\x03"], ["\r", "\r", "\x03"], ["\r", "\r", "n", "\x03"], ["\r", "\x1b[B\x1b[B\r", "\x03"]]


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("answers", GIVE_UP, ids=repr)
def test_giving_up_at_any_question_decides_nothing(answers: list[str], smithers: Smithers) -> None:
    run = smithers.up(body=ASK, code=3)
    child = Terminal(smithers.repo, "deny")
    questions = ["What do you want", "What do you say", r"Deny ship of run \w+\?|A note", "What do you say"]
    for question, answer in zip(questions, answers, strict=False):
        child.expect(question)
        child.send(answer)
    child.expect("nothing was decided")
    child.expect(pexpect.EOF)
    child.close()

    assert child.exitstatus == 130
    assert smithers.json("inspect", run)["status"] == "waiting"


DOWN = "\x1b[B"


@pytest.mark.usefixtures("terminal")
def test_an_option_is_chosen_with_the_arrow_keys(smithers: Smithers) -> None:
    run = smithers.up(body='    return Approval("which", mode="select", options=["red", "green", "blue"])\n', code=3)
    child = Terminal(smithers.repo, "approve", "--no-resume")
    for question, keys in (
        ("What do you want", "\r"),
        ("What do you say", "\r"),
        ("Which one", DOWN + DOWN + "\r"),
        ("Approve which", "y"),
    ):
        child.expect(question)
        child.send(keys)
    child.expect("approved by Ada Tester <ada@example.test>: blue")
    assert _ends(child) == 0
    assert smithers.json("output", run, "which")["selected"] == "blue"


@pytest.mark.usefixtures("terminal")
def test_options_are_ranked_one_by_one_and_giving_up_in_the_middle_ranks_none(smithers: Smithers) -> None:
    run = smithers.up(body='    return Approval("order", mode="rank", options=["a", "b", "c"])\n', code=3)
    for last in ("\x03", DOWN + "\r"):
        child = Terminal(smithers.repo, "approve", "--no-resume")
        for question, keys in (
            ("What do you want", "\r"),
            ("What do you say", "\r"),
            ("is best", DOWN + "\r"),
            ("number 2", last),
        ):
            child.expect(question)
            child.send(keys)
        if last == "\x03":
            child.expect("nothing was decided")
            assert _ends(child) == 130
    child.expect("Approve order")
    child.send("y")
    assert _ends(child) == 0
    assert smithers.json("output", run, "order")["ranking"] == ["b", "c", "a"]


@pytest.mark.usefixtures("terminal")
def test_the_whole_diff_is_shown_in_the_pager_and_what_is_postponed_waits_on(
    smithers: Smithers, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = """\
    return Sequence(
        Task("make", run="seq 100 > many.txt", gates=["test -f many.txt"]),
        Approval("ship", title="Ship it?"),
    )
"""
    run = smithers.up(body=body, code=3)
    pager = smithers.repo.parent / "pager"
    pager.write_text("#!/bin/sh\necho THE PAGER\ntail -n 3\n", encoding="utf-8")
    pager.chmod(0o755)
    monkeypatch.setenv("PAGER", str(pager))
    child = Terminal(smithers.repo, "approve")
    child.expect("What do you want")
    child.send("\r")
    child.expect("green on these files: test -f many.txt")
    child.expect("What do you say")
    child.send(DOWN * 3 + "\r")
    child.expect("THE PAGER")
    child.expect(r"\+100")
    child.expect("What do you say")
    child.send(DOWN * 4 + "\r")
    child.expect(f"postponed: ship of run {run} waits on")
    assert _ends(child) == 3
    assert smithers.json("inspect", run)["status"] == "waiting"


@pytest.mark.usefixtures("terminal")
def test_a_narrow_terminal_without_colour_shows_one_line_for_each_that_waits(smithers: Smithers) -> None:
    title = "Ship " + "a very long name " * 10 + "\\x1b[31mred"
    run = smithers.up(body=f'    return Approval("ship", title="{title}")\n', code=3)
    child = Terminal(smithers.repo, "approve", size=(24, 40))
    child.expect("What do you want")
    child.expect(f"{run} ship: Ship")
    child.send("\x03")
    child.expect("nothing was decided")
    seen = str(child.before)
    assert _ends(child) == 130
    assert "a very long name a very long name" not in seen
    assert not re.search(r"\x1b\[(?:[\d;]*;)?[34]\d(?:;[\d;]*)?m", seen), (
        "NO_COLOR is set, and a title brings no escape sequence"
    )


@pytest.mark.usefixtures("terminal")
def test_what_changes_while_the_person_reads_is_not_decided(smithers: Smithers) -> None:
    run = smithers.up(body=ASK, code=3)
    folder = Path(smithers.json("inspect", run)["workspaces"][0]["path"])
    child = Terminal(smithers.repo, "approve")
    child.expect("What do you want")
    child.send("\r")
    child.expect("What do you say")
    (folder / "made.txt").write_text("replaced\n", encoding="utf-8")
    smithers("up", "--resume", run, code=3)
    child.send("\r")
    child.expect("Approve ship")
    child.send("y")
    child.expect("is not the request that was shown")
    child.expect("the files of main changed")
    assert _ends(child) == 1
    assert smithers.json("inspect", run)["status"] == "waiting"


@pytest.mark.usefixtures("terminal")
def test_somebody_who_may_not_decide_can_look_only(smithers: Smithers) -> None:
    smithers.up(body='    return Approval("ship", allowed="eve@example.test")\n', code=3)
    child = Terminal(smithers.repo, "approve")
    child.expect("What do you want")
    child.send("\r")
    child.expect("who may decide: eve@example.test")
    child.expect("What do you say")
    child.expect("postpone")
    assert "deny" not in str(child.before)
    child.send("\x03")
    assert _ends(child) == 130


@pytest.mark.usefixtures("terminal")
def test_a_rewind_asks_on_a_terminal(smithers: Smithers) -> None:
    run = smithers.up(body=ASK, code=3)
    child = Terminal(smithers.repo, "rewind", run, "--frame", "0")
    child.expect(f"Put run {run} back to frame 0")
    child.send("n")
    child.expect("nothing was done")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    before = json.dumps(smithers.json("timeline", run))

    child = Terminal(smithers.repo, "rewind", run, "--frame", "0")
    child.expect(f"Put run {run} back to frame 0")
    child.send("y")
    child.expect(f"run {run} is at frame 0 again")
    child.expect(pexpect.EOF)

    assert json.dumps(smithers.json("timeline", run)) != before
