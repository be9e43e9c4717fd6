"""Show one node of a run: every attempt, its gates and its output.

NODE is a node's id for its newest iteration, or NODE@ITERATION.
"""

from __future__ import annotations

from pathlib import Path

import click

from smithers_git.cli import json_option


@click.command(help=__doc__)
@click.argument("run")
@click.argument("node")
@json_option
def command(run: str, node: str, as_json: bool) -> None:
    from smithers_git.front import nodes
    from smithers_git.service import runs
    from smithers_git.service.project import Project

    project = Project.open(Path.cwd())
    nodes.show(project, runs.resolve(project, run), node, as_json=as_json)
