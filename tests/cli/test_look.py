"""ps, inspect, node, output, timeline, events, logs and chat on a run that waits."""

from __future__ import annotations

import json
import os
import re
import shutil

import pexpect
import pytest
from kit.repos import git
from kit.runs import Shipped, Smithers
from kit.terminal import Terminal


def test_ps_shows_what_a_run_waits_for_and_what_it_spent(shipped: Shipped) -> None:
    said = shipped.smithers("ps")

    (line,) = [line for line in said.out.splitlines() if line.startswith(shipped.run)]
    assert line.split()[1:3] == ["waiting", "ship?"]
    assert "1.2k" in line
    assert "$0.25" in line
    assert line.endswith("add things")
    assert f"smithers why {shipped.run}" in said.err


def test_ps_as_json_is_one_document_with_the_runs_in_a_list(shipped: Shipped) -> None:
    (run,) = shipped.smithers.json("ps")["runs"]

    assert (run["run"], run["status"], run["workflow"]) == (shipped.run, "waiting", "flow.py")
    assert run["waiting"][0]["title"] == "Ship it?"
    assert (run["tokens"], run["cost"]) == (1200, 0.25)


@pytest.mark.parametrize(("status", "number"), [("waiting", 1), ("finished", 0)])
def test_ps_can_be_asked_for_a_status(status: str, number: int, shipped: Shipped) -> None:
    assert len(shipped.smithers.json("ps", "--status", status)["runs"]) == number


def test_ps_fits_80_columns(shipped: Shipped, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smithers_git.edge.output.columns", lambda: 80)

    assert max(map(len, shipped.smithers("ps").out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("name", "value", "colored"), [("TERM", "xterm", True), ("TERM", "dumb", False), ("NO_COLOR", "1", False)]
)
def test_a_terminal_gets_colour_and_its_own_width(name: str, value: str, colored: bool, shipped: Shipped) -> None:
    env = {**os.environ, "TERM": "xterm", name: value}
    child = Terminal(shipped.smithers.repo, "inspect", shipped.run, env=env, size=(100, 60))
    child.expect(pexpect.EOF)

    assert ("\x1b[" in child.before) is colored
    text = re.sub(r"\x1b\[[0-9;]*m", "", child.before)
    head = text[: text.index("workspaces")]  # paths are never cut: they are to be copied
    assert max(map(len, head.splitlines())) <= 60


def test_ps_answers_the_same_without_its_index(shipped: Shipped) -> None:
    before = shipped.smithers.json("ps")
    shutil.rmtree(shipped.smithers.repo / ".git" / "smithers")

    assert shipped.smithers.json("ps") == before


def test_ps_answers_the_same_in_a_clone_that_fetched_the_run(
    shipped: Shipped, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = shipped.smithers.json("ps")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(shipped.smithers.repo), str(clone))
    git(clone, "fetch", "-q", "origin", "refs/smithers/*:refs/smithers/*")
    monkeypatch.chdir(clone)

    assert shipped.smithers.json("ps") == before


def test_one_damaged_run_does_not_hide_the_others(smithers: Smithers) -> None:
    run = smithers.up(body='    return Task("one", value=1)\n')
    git(smithers.repo, "update-ref", "refs/smithers/runs/broken", "HEAD")

    said = smithers("ps", "--json")

    assert [row["run"] for row in said.json["runs"]] == [run]
    assert "not a frame" in said.json["unreadable"]["broken"]
    assert "smithers doctor" in said.err


def test_inspect_shows_every_part_of_a_run(shipped: Shipped) -> None:
    document = shipped.smithers.json("inspect")

    nodes = {(node["node"], node["iteration"]): node["status"] for node in document["nodes"]}
    assert nodes[("test", 1)] == "finished"
    assert nodes[("ship", 0)] == "waiting"
    assert nodes[("last", 0)] == "pending", "what is still to come is shown too"
    assert document["loops"] == [{"loop": "implement.loop", "iteration": 1, "max_iterations": 3, "finished": "until"}]
    assert document["approvals"][0]["summary"] == "The check passed: True"
    assert {space["name"] for space in document["workspaces"]} == {"main", "side"}
    assert document["next"][0] == f"smithers approve {shipped.run} --node ship"


def test_inspect_says_it_in_words(shipped: Shipped) -> None:
    said = shipped.smithers("inspect", shipped.run).out

    assert f"run {shipped.run}  waiting" in said
    assert "implement.loop  pass 2 of at most 3, until holds" in said
    assert "ship  Ship it?  waits for a decision" in said
    assert f"smithers/{shipped.run}/side" in said


def test_inspect_works_where_the_workflow_is_gone(shipped: Shipped) -> None:
    flow = shipped.smithers.repo / "flow.py"
    text = flow.read_text()
    flow.unlink()
    try:
        assert shipped.smithers.json("inspect")["loops"][0]["max_iterations"] == 3, "from the pinned source"
    finally:
        flow.write_text(text)


def test_node_shows_every_attempt_with_its_session_and_commit(shipped: Shipped) -> None:
    document = shipped.smithers.json("node", shipped.run, "implement@0")

    (tried,) = document["tries"]
    assert (tried["attempt"], tried["status"], tried["agent"], tried["tokens"]) == (1, "finished", "script", 1200)
    assert git(shipped.smithers.repo, "show", f"{tried['commit']}:calc.txt") == "wrong"
    assert tried["session"] == document["session"]
    assert document["value"] == {"summary": "tried"}


def test_node_without_an_iteration_means_the_newest(shipped: Shipped) -> None:
    assert shipped.smithers.json("node", shipped.run, "implement")["value"] == {"summary": "fixed"}
    assert '"fixed"' in shipped.smithers("node", shipped.run, "implement").out


def test_node_tells_of_each_failure(smithers: Smithers) -> None:
    body = '    return Task("bad", run="echo oops >&2; exit 3", retries=1, backoff=Backoff(first=0))\n'
    run = smithers.up(body=body, code=1)

    tries = smithers.json("node", run, "bad")["tries"]

    assert [one["attempt"] for one in tries] == [1, 2]
    assert {(one["status"], one["kind"]) for one in tries} == {("failed", "exit")}
    assert "oops" in tries[1]["message"]
    assert f"smithers retry-task {run} bad" in smithers("node", run, "bad").err


def test_output_prints_the_value_and_nothing_else(shipped: Shipped) -> None:
    said = shipped.smithers("output", shipped.run, "number")

    assert said.json == {"a": 1}
    assert said.err == ""


def test_output_of_one_pass_or_the_newest(shipped: Shipped) -> None:
    smithers, run = shipped.smithers, shipped.run

    assert smithers("output", run, "test").json["passed"] is True
    assert smithers("output", run, "test", "--iteration", "0").json["passed"] is False
    assert smithers("output", run, "test@0").json["passed"] is False


def test_output_without_a_node_lists_all(shipped: Shipped) -> None:
    rows = shipped.smithers.json("output", shipped.run)["outputs"]

    assert [row["node"] for row in rows] == ["implement", "test", "implement", "test", "extra", "number"]


def test_output_that_is_not_there_says_why(shipped: Shipped) -> None:
    said = shipped.smithers("output", shipped.run, "ship", code=1)

    assert "it is waiting" in said.err
    assert f"smithers why {shipped.run}" in said.err


def test_an_unknown_node_is_refused_with_those_that_there_are(shipped: Shipped) -> None:
    assert "its nodes are: implement, test" in shipped.smithers("node", shipped.run, "nix", code=2).err


def test_timeline_has_a_line_and_a_commit_for_every_frame(shipped: Shipped) -> None:
    document = shipped.smithers.json("timeline")

    assert [frame["frame"] for frame in document["frames"]] == list(range(12))
    last = document["frames"][-1]
    assert last["commit"] == git(shipped.smithers.repo, "rev-parse", f"refs/smithers/runs/{shipped.run}")
    text = shipped.smithers("timeline").out.splitlines()
    assert len(text) == 12
    assert last["commit"][:8] in text[-1]


def test_events_can_be_narrowed_to_a_node_and_a_type(shipped: Shipped) -> None:
    smithers, run = shipped.smithers, shipped.run

    both = smithers.json("events", run, "--node", "test", "--type", "task.finished")["events"]
    assert [(event["node"], event["iteration"]) for event in both] == [("test", 0), ("test", 1)]
    assert len(smithers.json("events", run, "--node", "test@1", "--type", "task")["events"]) == 2
    assert [event["type"] for event in smithers.json("events", run, "--type", "loop")["events"]] == [
        "loop.advanced",
        "loop.finished",
    ]
    assert "ship asks for approval" in smithers("events", run, "--type", "approval").out


def test_logs_says_everything_once_in_order(shipped: Shipped) -> None:
    lines = [line.split(" ", 1)[1] for line in shipped.smithers("logs").out.splitlines()]

    assert lines[0] == "run of flow.py created"
    assert lines[-1] == "ship asks for approval"
    assert len(lines) == len(shipped.smithers.json("events")["events"])


def test_following_a_run_that_waits_ends_at_once_and_says_what_to_do(shipped: Shipped) -> None:
    said = shipped.smithers("logs", "-f", code=3)

    assert said.out.splitlines()[-1].endswith("ship asks for approval")
    assert f"smithers approve {shipped.run} --node ship" in said.err


def test_chat_makes_what_agents_said_readable(shipped: Shipped) -> None:
    text = shipped.smithers("chat").out

    assert "-- implement, attempt 1, script" in text
    assert "Trying something.\n> write calc.txt" in text
    assert "-- implement@1" in text
    assert "Now I see it.\nFixing.\n> edit calc.txt" in text
    assert "{" not in text


def test_chat_of_one_pass_of_one_node(shipped: Shipped) -> None:
    (attempt,) = shipped.smithers.json("chat", shipped.run, "implement@1")["attempts"]

    assert [part["text"] for part in attempt["said"] if part["kind"] == "text"] == ["Now I see it.", "Fixing."]


def test_chat_of_a_command_shows_what_it_printed(smithers: Smithers) -> None:
    run = smithers.up(body='    return Task("loud", run="echo one; echo two >&2")\n')

    assert smithers("chat", run, "loud").out.splitlines()[1:] == ["one", "two"]
    assert "nothing was said" in smithers("chat", run).err, "a command is no agent"


def test_raw_chat_is_what_the_program_wrote(shipped: Shipped) -> None:
    lines = shipped.smithers("chat", shipped.run, "implement@0", "--raw").out.splitlines()

    assert [json.loads(line)["type"] for line in lines] == ["session", "text", "tool", "result"]


def test_chat_refuses_a_node_that_never_began(shipped: Shipped) -> None:
    assert "has no attempt of 'last'" in shipped.smithers("chat", shipped.run, "last", code=2).err
