"""Approve what waits for you; the run then goes on by itself.

On a terminal without RUN, choose from everything that waits: the request, what was changed, which gates were green and
what it cost, then approve, deny, add a note, open the whole diff, or postpone.

A decision is about the request and the files as they were shown. When either has changed, it is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from smithers_git.cli import json_option


@click.command(help=__doc__)
@click.argument("run", required=False)
@click.option("-n", "--node", metavar="NODE", help="Which one, when several wait.")
@click.option("-m", "--note", metavar="TEXT", help="What the run and its history shall know of it.")
@click.option("--select", metavar="OPTION", help="The option that you choose, where one is to be selected.")
@click.option("--rank", metavar="A,B,C", help="All options, the best first, where they are to be ranked.")
@click.option("--all", "every", is_flag=True, help="Everything that waits; in RUN, when it is given.")
@click.option("--digest", metavar="HEX", help="Of the request that you saw; another one is refused.")
@click.option("--by", metavar="WHO", help="Who decides; default: you, as git knows you.")
@click.option("--no-resume", is_flag=True, help="Only record it; smithers up --resume RUN goes on.")
@json_option
def command(run: str | None, **options: Any) -> int:
    from smithers_git.front import decide
    from smithers_git.service.project import Project

    return decide.decide(Project.open(Path.cwd()), run, options, approved=True)
