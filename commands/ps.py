"""List the runs of this repository, newest first.

STATUS is what really holds now: running, waiting (for a person, a signal or a time), paused, parked, interrupted (its
engine is gone), finished, failed or cancelled. Where Ctrl-Z or a signal has stopped the engine of a running
one, STEP says so.
"""

from __future__ import annotations

from pathlib import Path

import click

from smithers_git.cli import json_option

STATUSES = ("running", "waiting", "paused", "parked", "interrupted", "finished", "failed", "cancelled")


@click.command(help=__doc__)
@click.option("-a", "--all", "everything", is_flag=True, help="Every run, not only the newest 20.")
@click.option("-s", "--status", "wanted", multiple=True, type=click.Choice(STATUSES), help="Only these; repeatable.")
@json_option
def command(everything: bool, wanted: tuple[str, ...], as_json: bool) -> None:
    from smithers_git.front import listing
    from smithers_git.service.project import Project

    listing.show(Project.open(Path.cwd()), wanted, everything=everything, as_json=as_json)
