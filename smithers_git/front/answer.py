"""What a person, or the agent that works for them, says to a run that waits: answers and signals."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from smithers_git.clock import ago, local
from smithers_git.core.amounts import span
from smithers_git.edge import ask, output
from smithers_git.errors import ExitCode, RunRefused, UsageError
from smithers_git.front import form
from smithers_git.service import detach, inquire, runs, waits
from smithers_git.service.frames import Chain
from smithers_git.service.inquire import Inquiry
from smithers_git.service.project import Project
from smithers_git.service.waits import Question, Sent


def answer(project: Project, run: str | None, options: Mapping[str, Any]) -> int:
    """Answer a question, or withdraw it. Returns the exit code."""
    by = options["by"] or project.who()
    interactive = output.is_terminal() and not options["as_json"]
    if run is not None:
        question: Question | None = waits.choose(project, runs.resolve(project, run), options["node"])
    else:
        question = _pick(project, interactive=interactive)
    if question is None:
        return _nothing()
    if options["withdraw"]:
        chain = waits.withdraw(project, question, by, options["note"] or "")
        _conclude(project, question, chain, {**options, "by": by, "done": "withdrawn"})
        return int(ExitCode.DONE)
    if options["value"] is not None:
        value = _parse(options["value"], question)
    elif interactive:
        value = _ask(project, question)
        if value is None:
            return _nothing()
    else:
        command = f"smithers answer {question.run} --node {question.key} --value '{_sample(question)}'"
        raise UsageError("without a terminal the answer is given with --value", hint=command)
    chain = settle(project, question, value, {**options, "by": by})
    _conclude(project, question, chain, {**options, "by": by, "done": "answered"})
    return int(ExitCode.DONE)


def settle(project: Project, question: Question, value: Any, options: Mapping[str, Any]) -> Chain:
    """Record an answer by `options["by"]`; raises as `waits.answer` does, and RunRefused when it came too late."""
    told = waits.answer(project, question, value, options["by"])
    if told.late:
        detach.go_on(project, told.chain, leave=options["no_resume"])
        when = local(question.wait.until or 0.0, project.clock.now())
        raise RunRefused(
            f"{question.key} of run {question.run} expired at {when}: the answer comes too late",
            hint=f"smithers why {question.run} tells how it stands",
        )
    return told.chain


def _nothing() -> int:
    output.note("nothing was answered")
    return int(ExitCode.INTERRUPTED)


def _pick(project: Project, *, interactive: bool) -> Question | None:
    found = waits.questions(project)
    if not found:
        raise RunRefused("nothing asks in this repository", hint="smithers ps shows the runs")
    if not interactive:
        commands = "; ".join(f"smithers answer {one.run} --node {one.key}" for one in found)
        many = f"{len(found)} questions wait" if len(found) > 1 else "one question waits"
        raise UsageError(f"{many}, and without a terminal RUN says which one is meant", hint=commands)
    now = project.clock.now()
    labels = [f"{one.run} {one.key}: {one.wait.title} ({ago(now - one.wait.since)})" for one in found]
    return ask.select("What do you want to answer?", list(zip(labels, found, strict=True)))


def _parse(text: str, question: Question) -> Any:
    if question.wait.asker is not None:
        return text
    try:
        return json.loads(text, parse_constant=_no_json)
    except ValueError as error:
        raise UsageError(f"--value is not JSON: {error}", hint=f"say --value '{_sample(question)}'") from None


def _no_json(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def _sample(question: Question) -> str:
    """What an answer looks like."""
    if question.wait.asker is not None:
        return question.wait.choices[0] if question.wait.choices else "TEXT"
    names = (question.wait.answer or {}).get("properties", {})
    return "{" + ", ".join(f'"{name}": …' for name in names) + "}"


def _ask(project: Project, question: Question) -> Any:
    wait = question.wait
    output.emit()
    for line in (wait.prompt or wait.title).splitlines():
        output.emit(line)
    output.emit()
    if wait.choices:
        return ask.select(str(question.key), [(choice, choice) for choice in wait.choices])
    if wait.asker is not None:
        return ask.text("Your answer:", check=lambda line: None if line else "say something, or press Ctrl-C")
    node = waits.asker_node(project, project.chain(question.run), question.key)
    assert node.output is not None
    return form.fill(node.output)


def _conclude(project: Project, question: Question, chain: Chain, said: Mapping[str, Any]) -> None:
    """Let the run go on, and say what happened."""
    goes = detach.go_on(project, chain, leave=said["no_resume"])
    if said["as_json"]:
        output.document(document(question, chain, goes, said))
        return
    output.emit(f"{question.key} of run {question.run} {said['done']} by {said['by']}")
    _tell(goes, question.run)


def document(question: Question, chain: Chain, goes: detach.GoesOn, said: Mapping[str, Any]) -> dict[str, Any]:
    """What became of a question, for a program: `said` names what was done and by whom."""
    facts = {"run": question.run, "node": question.key.node, "iteration": question.key.iteration}
    return {**facts, said["done"]: True, "by": said["by"], "frame": chain.state.number, **_going(goes)}


def _going(goes: detach.GoesOn) -> dict[str, Any]:
    return {
        "resumed": not goes.why,
        "why": goes.why or None,
        "pid": goes.began.pid if goes.began else None,
        "log": str(goes.began.log) if goes.began else None,
    }


def _tell(goes: detach.GoesOn, run: str) -> None:
    output.note(goes.why or _watch(run))


def _watch(run: str) -> str:
    return f"the run goes on in the background; watch it with: smithers logs -f {run}"


def signal(project: Project, run: str, name: str, options: Mapping[str, Any]) -> None:
    """Send a signal to a run, and let the run go on when something waited for it."""
    try:
        data = None if options["data"] is None else json.loads(options["data"], parse_constant=_no_json)
    except ValueError as error:
        raise UsageError(f"--data is not JSON: {error}", hint='say --data \'{"key": "value"}\'') from None
    run = runs.resolve(project, run)
    sent = Sent(name, options["correlation"], data, options["by"] or project.who())
    found = sending(project, run, sent, leave=options["no_resume"])
    if options["as_json"]:
        output.document(found)
    elif found["node"] is None:
        output.emit(f"signal {name} is kept in run {run}: nothing waits for it yet")
    else:
        output.emit(f"signal {name} goes to {found['node']} of run {run}")
        output.note(found["why"] or _watch(run))


def sending(project: Project, run: str, sent: Sent, *, leave: bool) -> dict[str, Any]:
    """Send a signal, and let the run go on when something waited for it, unless it is to be left alone."""
    chain, taken = waits.signal(project, run, sent)
    goes = detach.GoesOn(why="nothing waits for it yet")
    if taken is not None:
        goes = detach.go_on(project, chain, leave=leave)
    facts = {"run": run, "signal": sent.name, "correlation": sent.correlation, "frame": chain.state.number}
    return {**facts, "node": str(taken) if taken else None, **_going(goes)}


def inquire_now(project: Project, question: str, options: Mapping[str, Any]) -> int:
    """Ask a person on behalf of the running task, and print the answer. Returns the exit code."""
    try:
        timeout = None if options["timeout"] is None else span(options["timeout"])
    except ValueError as error:
        raise UsageError(f"--timeout: {error}", hint="say --timeout 30m") from None
    if not question.strip():
        raise UsageError("the question is empty", hint="smithers ask 'May I drop the old table?'")
    key, wait = inquire.ask(project, Inquiry(question, tuple(options["choices"]), timeout))
    codes = {"resolved": ExitCode.DONE, "expired": ExitCode.WAITING}
    if options["as_json"]:
        output.document({"node": str(key), "end": wait.end, "answer": wait.reply, "by": wait.by or None})
    elif wait.end == "resolved":
        output.emit(wait.reply or "")
    else:
        output.note("nobody answered in time" if wait.end == "expired" else f"the question was withdrawn: {wait.end}")
    return int(codes.get(wait.end or "", ExitCode.CANCELLED))
