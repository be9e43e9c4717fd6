"""`smithers agents test` with real CLIs: each step is true of the program that it is told of."""

from __future__ import annotations

import json
import re
import tempfile
import threading
from pathlib import Path

import pytest
from agents.drive import Driver
from agents.stub.steps import run
from kit.repos import write as put

from smithers_git.service import prove
from smithers_git.service.project import Project
from smithers_git.service.prove import STEPS, Order, Step

pytestmark = [pytest.mark.agents, pytest.mark.parametrize("bench", ["claude", "codex"], indirect=True)]


def test_every_step_is_proven(cli: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # not below /dev/shm, which sandboxes hide
    # A command is free of what the sandboxes of the CLIs need on this machine.
    own = {"permission": "full", "model": cli.machine.model, "pass_env": ["SMITHERS_TEST_MARK"]}
    settings = "".join(f"{key} = {json.dumps(value)}\n" for key, value in own.items() if value)
    put(cli.folder, {".smithers/config.toml": f"[agents.{cli.profile.name}]\n{settings}"})
    put(
        Path(cli.bench.environ["HOME"]), {".config/smithers/config.toml": "[isolate]\nmachine = true\nmode = 'never'\n"}
    )
    said = cli.machine.answer
    # What it works in is made by the trial: the path is not known beforehand.
    cli.stub.play(run(f"echo {prove.WORD} > {prove.FILE}"), said(json.dumps({"word": prove.WORD})))

    def told(step: Step) -> None:
        if step.name == "json":
            code = re.search("code word ([0-9a-f]+)", cli.stub.requests[0].words)
            assert code is not None
            cli.stub.play(said(json.dumps({"word": code[1]})))
        elif step.name == "limit":
            cli.stub.play(run(f"touch {prove.BEGUN} && sleep 600"), said('{"word": "done"}'))

    project = Project.open(cli.folder, cli.bench.environ)
    trial = prove.prove(project, Order(cli.profile.name, 60), threading.Event(), told)

    # codex says that nobody is logged in: its provider is of its user's own.
    expected = dict.fromkeys(STEPS, "ok") | ({"login": "warning"} if cli.profile.name == "codex" else {})
    assert {step.name: step.standing for step in trial.steps} == expected, trial.steps
    assert trial.tokens > 0
    assert cli.leftovers() == []
