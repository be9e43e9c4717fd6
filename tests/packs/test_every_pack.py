"""What holds for every built-in pack."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from kit.script_agent import ROLES, Stage

from smithers_git.core.nodes import Loop, Task
from smithers_git.edge import content
from smithers_git.service import launch, source
from smithers_git.service.launch import Draft, Request
from smithers_git.service.project import Project

PACKS = content.list_packs(None)
every_pack = pytest.mark.parametrize("name", PACKS)


def draft(stage: Stage, name: str, **more: object) -> Draft:
    return launch.draft(Project.open(stage.repo), Request(name, {"prompt": "x", **more}, cwd=stage.repo))


@every_pack
def test_it_starts_from_a_prompt_alone_and_reads_nothing_that_is_not_there(stage: Stage, name: str) -> None:
    assert draft(stage, name).notes == []


@every_pack
def test_it_says_in_a_line_what_it_does(name: str) -> None:
    found = source.load(source.Location(name, PACKS[name], "workflow.py", whole=True)).workflow
    text = ast.get_docstring(ast.parse((PACKS[name] / "workflow.py").read_text("utf-8"))) or ""
    assert 30 <= len(found.summary) <= 120
    assert found.name == name
    assert text.partition(":")[0] == found.summary.partition(":")[0]


@every_pack
def test_it_stands_alone_so_that_a_copy_in_a_repository_works(name: str) -> None:
    trees = [ast.parse(path.read_text("utf-8")) for path in PACKS[name].glob("*.py")]
    froms = {node.module for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not [module for module in froms if module and module.startswith("smithers_git.")]


@every_pack
def test_it_asks_pools_and_not_single_agents(stage: Stage, name: str) -> None:
    tasks = [item.node for item in draft(stage, name).plan.items.values() if isinstance(item.node, Task)]
    assert {agent for task in tasks for agent in task.agent} <= set(ROLES)


@every_pack
def test_its_loops_can_end_in_failure_or_say_why_not(stage: Stage, name: str) -> None:
    loops: list[Loop] = [item.node for item in draft(stage, name).plan.loops.values()]
    assert [loop.id for loop in loops if loop.on_max != "fail"] == (["rounds"] if name == "plan" else [])
    assert not any(loop.until for loop in loops)


@every_pack
def test_all_its_prompts_are_used(name: str) -> None:
    code = "".join(path.read_text("utf-8") for path in PACKS[name].glob("*.py"))
    prompts: list[Path] = list((PACKS[name] / "prompts").glob("*.md"))
    assert prompts
    assert [path.name for path in prompts if f'"{path.name}"' not in code] == []
