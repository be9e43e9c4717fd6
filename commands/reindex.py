"""Throw the index away and make it again from the frames.

Nothing is lost: the index is only a copy, and is brought up to date by itself whenever a run is looked at.
"""

from __future__ import annotations

from pathlib import Path

import click

from smithers_git.cli import json_option


@click.command(help=__doc__)
@json_option
def command(as_json: bool) -> int:
    from smithers_git.front import upkeep
    from smithers_git.service.project import Project

    return upkeep.reindex(Project.open(Path.cwd()), as_json=as_json)
