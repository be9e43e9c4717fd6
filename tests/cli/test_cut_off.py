"""A node of a run that nobody drives is not running, whatever was begun."""

from __future__ import annotations

from kit.processes import eventually
from kit.runs import Engine, Smithers


def test_every_surface_says_that_an_attempt_was_cut_off_when_its_engine_was_killed(smithers: Smithers) -> None:
    smithers.write('    return Task("nap", run="sleep 60")\n')
    with Engine(smithers.repo, "flow.py", "--run-id", "r") as engine:
        assert eventually(lambda: list((smithers.repo / ".git/smithers/runs/r/pids").glob("*")), 30)
        assert smithers.json("inspect", "r")["nodes"][0]["status"] == "running"
        engine.kill()
    assert smithers.json("inspect", "r")["nodes"][0]["status"] == "interrupted"
    node = smithers.json("node", "r", "nap")
    assert node["status"] == "interrupted"
    assert [one["status"] for one in node["tries"]] == ["interrupted"]
    kinds = [one["kind"] for one in smithers.json("why", "r")["blockers"]]
    assert "running" not in kinds
    assert "interrupted" in kinds
