"""Check, from git alone, that what landed is what was tested.

COMMIT or RANGE (A..B) as git spells them. For each commit on the line of first parents: which gates passed on exactly
its tree, when, and by what. A missing receipt, another tree or a changed record is an error.
"""

from __future__ import annotations

from pathlib import Path

import click

from smithers_git.cli import json_option


@click.command(help=__doc__)
@click.argument("revision", metavar="COMMIT|RANGE")
@click.option("--strict", is_flag=True, help="Also an error: a commit in the range that no queue landed.")
@json_option
def command(revision: str, strict: bool, as_json: bool) -> int:
    from smithers_git.front import verify
    from smithers_git.service.project import Project

    return verify.verify(Project.open(Path.cwd()), revision, strict=strict, as_json=as_json)
