"""graph draws a plan and does nothing else."""

from __future__ import annotations

from kit.repos import contents, git
from kit.runs import SHIP, Shipped, Smithers


def test_a_plan_is_drawn_and_nothing_is_written(smithers: Smithers) -> None:
    smithers.write(SHIP)
    before = contents(smithers.repo)

    lines = smithers("graph", "flow.py").out.splitlines()

    assert lines[0] == "flow.py"
    assert lines[2].startswith("├─ Loop implement.loop")
    assert "at most 3 passes, then it fails" in lines[2]
    assert "agent script -> Change" in lines[3]
    assert "run grep -q right calc.txt, red is data" in lines[4]
    assert lines[-1].startswith("└─ last")
    assert contents(smithers.repo) == before
    assert git(smithers.repo, "for-each-ref", "refs/smithers") == ""


def test_the_plan_as_json_is_a_tree_and_a_list_of_nodes(smithers: Smithers) -> None:
    smithers.write(SHIP)

    document = smithers.json("graph", "flow.py")

    assert document["plan"]["children"][0]["children"][1] == {"kind": "Task", "id": "test"}
    by_name = {node["node"]: node for node in document["nodes"]}
    assert by_name["extra"]["workspace"] == "side"
    assert by_name["test"]["loops"] == ["implement.loop"]
    assert by_name["ship"]["needs"] == ["test"]
    assert "flow.py:" in by_name["ship"]["where"]


def test_the_plan_of_a_run_says_how_far_each_node_is(shipped: Shipped) -> None:
    document = shipped.smithers.json("graph", "--run", shipped.run)

    assert {node["node"]: node["status"] for node in document["nodes"]} == {
        "implement": "finished",
        "test": "finished",
        "extra": "finished",
        "number": "finished",
        "ship": "waiting",
        "last": "pending",
    }
    assert "pass 2 of at most 3" in shipped.smithers("graph", "--run", shipped.run).out


def test_a_broken_plan_is_an_error_with_file_and_line(smithers: Smithers) -> None:
    smithers.write('    return Sequence(Task("a", value=1), Task("a", value=2))\n')

    said = smithers("graph", "flow.py", code=1)

    assert "flow.py:15: duplicate id 'a'" in said.err


def test_a_workflow_or_a_run_has_to_be_named(smithers: Smithers) -> None:
    assert "--run RUN" in smithers("graph", code=2).err
