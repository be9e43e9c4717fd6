"""What an approval can ask, who may answer, what makes an answer stale, and what decides itself."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from kit.processes import eventually
from kit.repos import git
from kit.runs import Engine, Smithers, hold, program

from smithers_git.core import events as ev
from smithers_git.errors import Stale
from smithers_git.names import TaskKey
from smithers_git.service import requests
from smithers_git.service.append import append
from smithers_git.service.project import Project

SHIP = 'Sequence(Task("make", run="echo made > made.txt"), Approval("ship", title="Ship it?"{more}), {rest})'
REST = 'Task("last", run="echo done > done.txt")'


def ship(more: str = "", rest: str = REST) -> str:
    return "    return " + SHIP.format(more=more and ", " + more, rest=rest) + "\n"


def asked(smithers: Smithers, run: str, node: str = "ship") -> dict[str, Any]:
    """The approval `node` as `inspect` tells it."""
    found = smithers.json("inspect", run)["approvals"]
    return next(one for one in found if one["node"] == node)


def status(smithers: Smithers, run: str) -> str:
    return str(smithers.json("inspect", run)["status"])


# -- modes


def test_one_of_the_options_is_selected(smithers: Smithers) -> None:
    run = smithers.up(body=ship('mode="select", options=["red", "green"]'), code=3)

    assert "asks which one: red, green" in smithers("approve", run, code=2).err
    assert "has no option 'blue'" in smithers("approve", run, "--select", "blue", code=2).err
    assert "does not ask for an order" in smithers("approve", run, "--select", "red", "--rank", "red", code=2).err
    document = smithers.json("approve", run, "--select", "green", "--no-resume")

    assert document["selected"] == "green"
    assert smithers.json("output", run, "ship")["selected"] == "green"


def test_all_options_are_ranked(smithers: Smithers) -> None:
    run = smithers.up(body=ship('mode="rank", options=["a", "b", "c"]'), code=3)

    assert "an order of all of them: a, b, c" in smithers("approve", run, "--rank", "b,a", code=2).err
    said = smithers("approve", run, "--rank", "b, c,a", "--no-resume")

    assert "b, c, a" in said.out
    assert smithers.json("output", run, "ship")["ranking"] == ["b", "c", "a"]


def test_an_approval_takes_no_option(smithers: Smithers) -> None:
    run = smithers.up(body=ship(), code=3)

    assert "leave --select out" in smithers("approve", run, "--select", "red", code=2).err
    assert "leave --rank out" in smithers("approve", run, "--rank", "a,b", code=2).err
    assert status(smithers, run) == "waiting"


def test_a_denied_choice_goes_on_without_one(smithers: Smithers) -> None:
    run = smithers.up(body=ship('mode="select", options=["x"], on_deny="continue"'), code=3)

    smithers("deny", run, "--no-resume")

    assert smithers.json("output", run, "ship") == {
        "approved": False,
        "by": "Ada Tester <ada@example.test>",
        "note": "",
    }


# -- people


@pytest.mark.parametrize("verb", ["approve", "deny"])
def test_only_those_allowed_decide(verb: str, smithers: Smithers) -> None:
    run = smithers.up(body=ship('allowed=["eve@example.test", "Grace"]'), code=3)

    assert "Ada Tester <ada@example.test> may not decide ship" in smithers(verb, run, code=1).err
    assert "Mallory may not" in smithers(verb, run, "--by", "Mallory", code=1).err
    assert "may not" in smithers(verb, run, "--by", "eve@example.test <mallory@example.test>", code=1).err
    assert "may not" in smithers(verb, "--all", "--no-resume", code=1).err
    assert status(smithers, run) == "waiting"
    smithers(verb, run, "--by", "Eve <EVE@example.test>", "--no-resume")
    assert asked(smithers, run)["by"] == "Eve <EVE@example.test>"


def test_the_identity_that_git_has_is_who_decides(smithers: Smithers) -> None:
    run = smithers.up(body=ship('allowed="Ada Tester"'), code=3)

    smithers("approve", run, "--no-resume")

    assert asked(smithers, run)["approved"] is True


# -- what was shown


def test_the_digest_names_what_was_seen(smithers: Smithers) -> None:
    run = smithers.up(body=ship(), code=3)
    digest = asked(smithers, run)["digest"]

    said = smithers("approve", run, "--digest", "0" * 16, "--json", code=1)
    assert said.json["error"]["code"] == "stale"
    assert digest in said.json["error"]["hint"]

    assert smithers.json("approve", run, "--digest", digest[:8], "--no-resume")["digest"] == digest
    (decided,) = smithers.json("events", run, "--type", "approval.decided")["events"]
    assert decided["digest"] == digest


def test_files_that_change_while_it_waits_make_the_answer_stale_until_it_is_asked_anew(smithers: Smithers) -> None:
    run = smithers.up(body=ship(), code=3)
    folder = Path(smithers.json("inspect", run)["workspaces"][0]["path"])
    seen = asked(smithers, run)["digest"]
    (folder / "made.txt").write_text("something else\n", encoding="utf-8")
    (folder / "new.txt").write_text("new\n", encoding="utf-8")

    said = smithers("approve", run, code=1)
    assert "made.txt, new.txt" in said.err
    assert f"smithers up --resume {run}" in said.err

    smithers("up", "--resume", run, code=3)
    again = smithers("approve", run, "--digest", seen, code=1)
    assert "the files of main changed" in again.err
    smithers("approve", run, "--digest", asked(smithers, run)["digest"], "--no-resume")
    assert asked(smithers, run)["approved"] is True


def test_what_an_attempt_begins_to_write_while_one_decides_is_no_edit(smithers: Smithers) -> None:
    run = smithers.up(body=ship(), code=3)
    project, key = Project.open(smithers.repo), TaskKey("ship")
    chain = project.chain(run)
    folder = Path(smithers.json("inspect", run)["workspaces"][0]["path"])
    (folder / "made.txt").write_text("by an attempt\n", encoding="utf-8")
    with pytest.raises(Stale, match=r"made\.txt"):
        requests.refuse_stale(project, chain, key, "")

    append(project, run, lambda _chain: [ev.TaskStarted(node="beside", attempt=1)])

    requests.refuse_stale(project, chain, key, "")  # the state that was read is older than the attempt
    requests.refuse_stale(project, project.chain(run), key, "")


def test_a_request_that_the_workflow_words_anew_is_another_one(smithers: Smithers) -> None:
    run = smithers.up(body=ship(), code=3)
    seen = asked(smithers, run)["digest"]
    flow = smithers.repo / "flow.py"
    flow.write_text(flow.read_text().replace("Ship it?", "Delete it?"), encoding="utf-8")
    smithers("up", "--resume", run, "--accept-change", code=3)

    said = smithers("approve", run, "--digest", seen, code=1)

    assert "its title was 'Ship it?' and is 'Delete it?'" in said.err


def test_work_in_another_worktree_does_not_make_it_stale(smithers: Smithers, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    body = f"""\
    return Parallel(
        Worktree("a", Approval("ok", title="Fine?")),
        Worktree("b", Task("one", run="echo 1 > b.txt"), Task("two", run={hold(gate, "echo 2 > b.txt")!r})),
    )
"""
    smithers.write(body)
    with Engine(smithers.repo, "flow.py", "--run-id", "run") as engine:
        assert eventually(lambda: _running(smithers, "two"))
        seen = asked(smithers, "run", "ok")["digest"]
        gate.touch()
        assert engine.end() == 3
    assert asked(smithers, "run", "ok")["digest"] == seen
    smithers("approve", "run", "--digest", seen, "--no-resume")


def _running(smithers: Smithers, node: str) -> bool:
    done = smithers("inspect", "run", "--json", code=None)
    return done.code == 0 and any(one["node"] == node and one["status"] == "running" for one in done.json["nodes"])


# -- a task that needs one


def test_the_rest_of_a_parallel_goes_on_while_a_task_waits_for_its_approval(smithers: Smithers) -> None:
    body = """\
    return Parallel(
        Task("publish", run="echo published > p.txt",
             needs_approval=NeedsApproval("Publish?", allowed="eve@example.test", on_deny="skip")),
        Sequence(Task("one", run="true"), Task("two", run="true")),
    )
"""
    smithers.write(body)
    flow = smithers.repo / "flow.py"
    flow.write_text(flow.read_text().replace("import Approval,", "import Approval, NeedsApproval,"), encoding="utf-8")
    run = smithers.up(code=3)

    nodes = {one["node"]: one["status"] for one in smithers.json("inspect", run)["nodes"]}
    assert nodes == {"publish": "waiting", "one": "finished", "two": "finished"}
    assert "may not decide" in smithers("approve", run, code=1).err
    smithers("deny", run, "--by", "eve@example.test", "--no-resume")
    smithers("up", "--resume", run)
    assert status(smithers, run) == "finished"
    assert {one["node"]: one["status"] for one in smithers.json("inspect", run)["nodes"]}["publish"] == "skipped"


def test_a_task_that_is_to_be_skipped_meanwhile_does_not_ask_any_more(smithers: Smithers) -> None:
    body = """\
    decision = ctx.latest(Decision, "how")
    return Parallel(
        Task("publish", run="true", needs_approval=True, skip_if=bool(decision and not decision.approved)),
        Approval("how", on_deny="continue"),
        Approval("other"),
    )
"""
    smithers.write(body)
    flow = smithers.repo / "flow.py"
    flow.write_text(flow.read_text().replace("import Approval,", "import Approval, Decision,"), encoding="utf-8")
    run = smithers.up(code=3)
    smithers("deny", run, "--node", "how", "--no-resume")
    smithers("up", "--resume", run, code=3)

    assert [one["node"] for one in smithers.json("inspect", run)["waiting"]] == ["other"]
    assert "does not ask any more" in smithers("approve", run, "--node", "publish", code=1).err


# -- by itself


@pytest.mark.parametrize(
    ("policy", "code", "word"), [("deny", 0, "skipped"), ("fail", 1, "failed"), ("approve", 0, "finished")]
)
def test_what_expired_while_nothing_ran_is_decided_at_the_next_look(
    policy: str, code: int, word: str, smithers: Smithers
) -> None:
    run = smithers.up(body=ship(f'expires=3600, on_expiry="{policy}", on_deny="skip"'), code=3)
    _age(smithers, run)

    assert "has expired" in smithers("approve", run, "--node", "ship", code=1).err
    smithers("up", "--resume", run, code=code)

    nodes = {one["node"]: one["status"] for one in smithers.json("inspect", run)["nodes"]}
    assert nodes["ship"] == word
    assert asked(smithers, run)["how"] == "expired"
    assert "by itself: nobody decided in time" in smithers("timeline", run).out


def test_a_near_expiry_is_waited_for(smithers: Smithers) -> None:
    run = smithers.up(body=ship('expires=0.2, on_deny="continue"'))

    assert smithers.json("output", run, "ship") == {"approved": False, "by": "clock", "note": "nobody decided in time"}


def _age(smithers: Smithers, run: str) -> None:
    """Ask again, two hours earlier."""
    project = Project.open(smithers.repo)

    def events(chain: Any) -> list[ev.Event]:
        first = json.loads(git(smithers.repo, "show", f"{_frame(smithers, run)}:frame.json"))["events"]
        event = next(one for one in first if one["type"] == "approval.requested")
        return [ev.ApprovalRequested.model_validate({**event, "until": event["until"] - 7200})]

    append(project, run, events)


def _frame(smithers: Smithers, run: str) -> str:
    """The frame that asks."""
    found = git(smithers.repo, "log", "--format=%H", "--grep=asks for approval", f"refs/smithers/runs/{run}")
    return found.splitlines()[0]


def _again(smithers: Smithers) -> tuple[str, str]:
    """Another run of the same workflow, and how it stands."""
    run = str(smithers.json("up", "flow.py", code=None)["run"])
    return run, status(smithers, run)


def test_after_enough_approvals_in_a_row_the_next_is_automatic_and_a_denial_begins_anew(smithers: Smithers) -> None:
    smithers.write(ship('auto_after=2, on_deny="skip"'))
    for _ in range(2):
        run, how = _again(smithers)
        assert how == "waiting"
        smithers("approve", run, "--no-resume")

    run, how = _again(smithers)
    assert how == "finished"
    assert asked(smithers, run)["how"] == "auto"
    (decided,) = smithers.json("events", run, "--type", "approval.decided")["events"]
    assert (decided["by"], decided["note"]) == ("auto", "people approved it 2 times in a row")
    assert _again(smithers)[1] == "finished", "an automatic one does not end the row"

    flow = smithers.repo / "flow.py"
    flow.write_text(flow.read_text().replace("auto_after=2", "auto_after=3"), encoding="utf-8")
    denied, how = _again(smithers)
    assert how == "waiting"
    smithers("deny", denied, "--no-resume")
    flow.write_text(flow.read_text().replace("auto_after=3", "auto_after=1"), encoding="utf-8")
    assert _again(smithers)[1] == "waiting"


def test_passes_of_a_loop_count_towards_the_row(smithers: Smithers) -> None:
    body = """\
    return Loop(Approval("ok", auto_after=2), Task("work", run="true"), until=ctx.iteration("l") >= 3, id="l")
"""
    run = smithers.up(body=body, code=3)
    smithers("approve", run, "--no-resume")
    smithers("up", "--resume", run, code=3)
    smithers("approve", run, "--no-resume")
    smithers("up", "--resume", run)

    hows = [one["how"] for one in smithers.json("inspect", run)["approvals"]]
    assert hows == ["person", "person", "auto", "auto"]


# -- all at once


def test_all_that_waits_is_decided_at_once_and_what_cannot_be_is_named(smithers: Smithers) -> None:
    first = smithers.up(body='    return Parallel(Approval("left"), Approval("right"))\n', code=3)
    second = smithers.up(body='    return Approval("which", mode="select", options=["a", "b"])\n', code=3)

    document = smithers.json("approve", "--all", "--no-resume", "--note", "go", code=1)

    assert [(one["run"], one["node"]) for one in document["decided"]] == [(first, "left"), (first, "right")]
    assert [(one["run"], one["node"]) for one in document["refused"]] == [(second, "which")]
    assert "nothing waits" in smithers("approve", first, "--all", code=1).err
    assert status(smithers, second) == "waiting"
    assert "--all decides more than one" in smithers("approve", "--all", "--select", "a", code=2).err


# -- other places, other times


def test_a_rewind_behind_an_approval_asks_again(smithers: Smithers) -> None:
    run = smithers.up(body=ship(), code=3)
    frame = smithers.json("inspect", run)["frame"]
    smithers("approve", run, "--no-resume")
    smithers("up", "--resume", run)

    smithers("rewind", run, "--frame", str(frame - 1), "--yes")

    assert "already" not in smithers("up", "--resume", run, code=3).err
    smithers("deny", run, "--no-resume")
    assert asked(smithers, run)["approved"] is False


def test_another_clone_answers_after_a_fetch(
    smithers: Smithers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = smithers.up(body=ship(), code=3)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(smithers.repo), str(clone))
    git(
        clone, "fetch", "-q", "origin", "refs/smithers/*:refs/smithers/*", "refs/heads/smithers/*:refs/heads/smithers/*"
    )

    monkeypatch.chdir(clone)
    flow = smithers.repo / "flow.py"
    (clone / "flow.py").write_text("raise SystemExit('hostile')\n" + flow.read_text(), encoding="utf-8")
    document = smithers.json("approve", run, "--note", "from afar")
    assert (document["decision"], document["resumed"]) == ("approved", False), "nothing of it runs here"
    assert f"git push REMOTE refs/smithers/runs/{run}" in document["why"]
    git(clone, "push", "-q", "origin", f"refs/smithers/runs/{run}")

    monkeypatch.chdir(smithers.repo)
    assert "already approved" in smithers("approve", run, "--node", "ship", code=1).err
    smithers("up", "--resume", run)
    assert smithers.json("output", run, "ship")["note"] == "from afar"


def test_an_answer_stands_although_the_engine_was_killed(smithers: Smithers, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    body = f"""\
    return Parallel(Approval("ok"), Worktree("w", Task("long", run={hold(gate)!r})))
"""
    smithers.write(body)
    with Engine(smithers.repo, "flow.py", "--run-id", "run") as engine:
        assert eventually(lambda: _running(smithers, "long"))
        engine.kill()
    smithers("approve", "run", "--no-resume")
    gate.touch()

    smithers("up", "--resume", "run")

    assert asked(smithers, "run", "ok")["approved"] is True


def test_of_two_answers_at_once_one_counts_and_the_other_hears_of_it(smithers: Smithers) -> None:
    run = smithers.up(body=ship('mode="select", options=["a", "b"]'), code=3)
    with ThreadPoolExecutor(2) as pool:
        words = [("approve", run, "--node", "ship", "--select", option, "--no-resume") for option in ("a", "b")]
        said = list(pool.map(lambda argv: program(smithers.repo, *argv), words))

    assert sorted(one.returncode for one in said) == [0, 1]
    loser = next(one for one in said if one.returncode)
    assert "was already approved by Ada Tester" in loser.stderr
    winner = "ab"[[one.returncode for one in said].index(0)]
    assert smithers.json("output", run, "ship")["selected"] == winner
    assert len(smithers.json("events", run, "--type", "approval.decided")["events"]) == 1


# -- signatures


def test_a_decision_is_signed_as_the_user_signs_commits(smithers: Smithers, home: Path) -> None:
    run = smithers.up(body=ship(), code=3)
    key = home / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ada", "-f", str(key)], check=True)
    signers = home / "signers"
    signers.write_text(f"ada@example.test {key.with_suffix('.pub').read_text()}", encoding="utf-8")
    for name, value in (
        ("gpg.format", "ssh"),
        ("user.signingKey", str(key)),
        ("gpg.ssh.allowedSignersFile", str(signers)),
        ("commit.gpgSign", "true"),
    ):
        git(smithers.repo, "config", name, value)
    tip = f"refs/smithers/runs/{run}"

    smithers("approve", run, "--no-resume")

    git(smithers.repo, "verify-commit", tip)
    assert git(smithers.repo, "log", "-1", "--format=%G?|%GS|%cn <%ce>|%an", tip) == (
        "G|ada@example.test|Ada Tester <ada@example.test>|Ada Tester"
    )
    assert git(smithers.repo, "log", "-1", "--format=%G?", f"{tip}~1") == "N", "what smithers writes is not signed"
    smithers("up", "--resume", run)
    assert status(smithers, run) == "finished"


def test_a_decision_that_cannot_be_signed_is_not_made(smithers: Smithers, home: Path) -> None:
    run = smithers.up(body=ship(), code=3)
    git(smithers.repo, "config", "commit.gpgSign", "true")
    git(smithers.repo, "config", "gpg.format", "ssh")
    git(smithers.repo, "config", "user.signingKey", str(home / "no such key"))

    said = smithers("approve", run, code=1)

    assert "could not sign" in said.err
    assert "commit.gpgSign false" in said.err
    assert status(smithers, run) == "waiting"


# -- who may not


@pytest.mark.usefixtures("cold_reapers")
def test_a_run_does_not_approve_itself_also_when_it_forgets_where_it_is(smithers: Smithers) -> None:
    words = f"{sys.executable} -P -m smithers_git"
    tries = [
        # Out of its shell, with nothing in its environment; then as itself.
        f'(setsid env -i PATH="$PATH" HOME="$HOME" {words} deny sly --json > denied.json 2>&1 &)',
        "for i in $(seq 300); do grep -q hint: denied.json && break; sleep 0.1; done; cat denied.json",
        f"{words} approve sly --json",
    ]
    sneak = f'Task("sneak", run={" ; ".join(tries)!r}, check=False)'
    smithers.up("--run-id", "sly", body=f'    return Parallel(Approval("ship", title="Ship it?"), {sneak})\n', code=3)

    result = smithers.json("output", "sly", "sneak")
    assert result["exit_code"] == 1
    why = "a decision on ship of run sly is for a person, and this is part of an attempt of run sly"
    assert result["tail"].count(f'"code": "run-refused",\n    "message": "{why}"') == 2
    assert "smithers ask" in result["tail"]
    assert asked(smithers, "sly")["approved"] is None

    smithers("approve", "sly", "--no-resume")
    assert asked(smithers, "sly")["approved"] is True


def test_an_attempt_of_another_repository_may_decide_here(smithers: Smithers, monkeypatch: pytest.MonkeyPatch) -> None:
    run = smithers.up(body=ship(), code=3)
    monkeypatch.setenv("SMITHERS_ATTEMPT", "1")
    monkeypatch.setenv("SMITHERS_RUN", run)
    assert "is for a person" in smithers("approve", run, "--no-resume", code=1).err

    monkeypatch.setenv("SMITHERS_RUN", "elsewhere")
    smithers("approve", run, "--no-resume")
