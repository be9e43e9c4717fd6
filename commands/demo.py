"""See the main job done on a scratch repository, every step real; needs no model.

A failing test suite, a loop to green, a kill -9 and a resume, an approval, a fork: each with the command that you would
type. Takes some seconds; your own repositories are not touched.
"""

from __future__ import annotations

from pathlib import Path

import click

from smithers_git.cli import json_option


@click.command(help=__doc__)
@click.option("--keep", metavar="DIR", type=click.Path(path_type=Path), help="Put it all into this new folder.")
@json_option
def command(keep: Path | None, as_json: bool) -> None:
    from smithers_git.front import demo

    demo.play(keep, as_json=as_json)
