"""More operations that lose power: what people say to a run, and what agents remember of one."""

from __future__ import annotations

import json
from typing import Any

from kit import engines, proofs, recaller, runs
from reliability.power_cases import Case, Stage, everyday, has_ref, kept
from reliability.record import Mark

RUN = "refs/smithers/runs/r"
_UP, _ON = ("up", "flow.py", "--run-id", "r"), ("up", "--resume", "r")


def _flow(stage: Stage, body: str) -> None:
    runs.make_repo(stage.repo)
    head = runs.HEAD.replace("Approval,", "Approval, HumanTask, Signal,")
    (stage.repo / "flow.py").write_text(head + body.format(ledger=stage.ledger), "utf-8")


def _ended(stage: Stage, known: list[Mark], ever: list[Mark], first: int) -> dict[str, str]:
    """What holds of every run that was brought to its end; returns its outputs."""
    kept(stage, RUN, known, ever, first)
    finished = {event["node"] for mark in known for event in mark.events if event["type"] == "task.finished"}
    twice = sorted(finished & set(stage.did()))
    assert not twice, f"P3: {twice} had finished, and ran again"
    everyday(stage)
    state = engines.state_of(stage.repo, "r")
    assert state.end == "finished", f"the run is {state.end or 'open'} at frame {state.number}: {state.error}"
    proofs.index_is_a_rebuild(stage.repo)
    proofs.sound(stage.repo)
    return {path: data.decode() for path, (_, data) in proofs.tree(stage.repo, f"{RUN}:outputs").items()}


# -- people

WAITS = """\
    return Sequence(
        HumanTask("where", output=Change, prompt="Where?"),
        Signal("go"),
        Task("last", run="echo last >> last.txt; echo last >> {ledger}"),
    )
"""
ANSWER = ("answer", "r", "--value", '{"summary": "here"}', "--no-resume")
SIGNAL = ("signal", "r", "go", "--data", '{"a": 1}', "--no-resume")


def _set_people(stage: Stage) -> None:
    _flow(stage, WAITS)


def _recover_people(stage: Stage, known: list[Mark], ever: list[Mark], first: int) -> Any:
    """Whoever looks what the run waits for, says that, and goes on, brings it to its end."""
    stage("ps", "--all", "--json")
    if not has_ref(stage, RUN):
        stage(*_UP, codes=(3,))
    for _ in range(6):
        state = engines.state_of(stage.repo, "r")
        open_waits = {key.node for key in state.open_waits}
        if state.end is not None:
            break
        if "where" in open_waits:
            stage(*ANSWER, codes=(0, 1))  # 1: it was said, and the run has not looked at it yet
        elif "go" in open_waits and not any(one.name == "go" for one in state.signals):  # an answer may be one too
            stage(*SIGNAL)
        stage(*_ON, codes=(0, 3))
    return {path: data for path, data in _ended(stage, known, ever, first).items() if "last" not in path}


# -- what agents say and remember

TALK = """\
    return Sequence(
        Task("loud", run="seq 1 30000; echo loud >> {ledger}"),
        Task("work", agent="recaller", output=Change, retries=0, prompt="remember #apple"),
        Task("again", agent="recaller", output=Change, prompt="remember #plum"),
    )
"""


def _set_talk(stage: Stage) -> None:
    _flow(stage, TALK)
    recaller.install(stage.repo, {"1": "fail"})
    with (stage.repo / ".git" / "info" / "exclude").open("a") as exclude:
        exclude.write("/.smithers/\n")


def _recover_talk(stage: Stage, known: list[Mark], ever: list[Mark], first: int) -> Any:
    """Each agent fails once behind its first words; what goes on knows them, wherever the power went."""
    stage("ps", "--all", "--json")
    if not has_ref(stage, RUN):
        stage(*_UP, codes=(0, 1))
    for _ in range(4):
        if engines.state_of(stage.repo, "r").end != "finished":
            stage(*_ON, codes=(0, 1))
    outputs = _ended(stage, known, ever, first)
    said = proofs.tree(stage.repo, f"{RUN}:transcripts")
    loud = b"".join(data for path, (_, data) in sorted(said.items()) if "/loud@0." in path)
    assert loud.endswith(b"30000\n"), f"the transcript of what finished ends with {loud[-60:]!r}"
    words = [data for path, (_, data) in said.items() if "/work@0." in path]
    assert not any(b"\0" in data for data in words), "zeros that nobody said are in a transcript"
    talks = proofs.tree(stage.repo, f"{RUN}:sessions")
    assert not any(b"\0" in data for _, data in talks.values()), "zeros that nobody said are in a conversation"
    summaries = {path: json.loads(data)["summary"] for path, data in outputs.items() if "loud" not in path}
    # Twice where a new conversation begins with what is known of the one before.
    return {path.split("@")[0]: sorted(set(summary.split())) for path, summary in summaries.items()}


PEOPLE = {
    case.name: case
    for case in (
        Case("people", _set_people, [[3, *_UP], [0, *ANSWER], [3, *_ON], [0, *SIGNAL], [0, *_ON]], _recover_people),
        Case("talk", _set_talk, [[1, *_UP], [0, *_ON]], _recover_talk),
    )
}
