"""Answer what a run asks; the run then goes on by itself.

On a terminal a form asks for each field of the answer; elsewhere give it as JSON with --value. An answer that does not
fit is refused with the reasons, and the question stays open. Without RUN, choose from everything that is asked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from smithers_git.cli import json_option


@click.command(help=__doc__)
@click.argument("run", required=False)
@click.option("-n", "--node", metavar="NODE", help="Which question, when several wait.")
@click.option("--value", metavar="JSON", help="The answer; plain text for the question of a running agent.")
@click.option("--withdraw", is_flag=True, help="Take the question back instead: the workflow says what follows.")
@click.option("-m", "--note", metavar="TEXT", help="Why it is withdrawn.")
@click.option("--by", metavar="WHO", help="Who answers; default: you, as git knows you.")
@click.option("--no-resume", is_flag=True, help="Only record it; smithers up --resume RUN goes on.")
@json_option
def command(run: str | None, **options: Any) -> int:
    from smithers_git.front import answer
    from smithers_git.service.project import Project

    return answer.answer(Project.open(Path.cwd()), run, options)
