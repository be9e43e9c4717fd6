"""Ask a person, from inside a running task, and wait for the answer.

For the agents and commands of a run: the question is part of the run, shows in smithers inbox, and is answered with
smithers answer. Prints the answer; exit code 3 when nobody answered in time, 4 when the question was withdrawn.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from smithers_git.cli import json_option


@click.command(help=__doc__)
@click.argument("question")
@click.option("--choice", "choices", metavar="TEXT", multiple=True, help="An answer to choose from; repeatable.")
@click.option("--timeout", metavar="SPAN", help="Give up after 30m, 2h, 1d; default: wait as long as the task lives.")
@json_option
def command(question: str, **options: Any) -> int:
    from smithers_git.front import answer
    from smithers_git.service.project import Project

    return answer.inquire_now(Project.open(Path.cwd()), question, options)
