"""Print the output of a node as JSON.

Without NODE, the outputs of all nodes. NODE means its newest iteration that has an output; NODE@ITERATION or
--iteration names another one.
"""

from __future__ import annotations

from pathlib import Path

import click

from smithers_git.cli import json_option


@click.command(help=__doc__)
@click.argument("run")
@click.argument("node", required=False)
@click.option("-i", "--iteration", type=click.IntRange(0), help="The pass of the node's loop, from 0.")
@json_option
def command(run: str, node: str | None, iteration: int | None, as_json: bool) -> None:
    from smithers_git.front import nodes
    from smithers_git.service import runs
    from smithers_git.service.project import Project

    project = Project.open(Path.cwd())
    nodes.value(project, runs.resolve(project, run), node, iteration, as_json=as_json)
