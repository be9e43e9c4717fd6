"""Resume what can go on by itself: due timers and retries, answered questions, dead engines.

Without --once it looks again and again until Ctrl-C; the runs that it resumed go on. A run that a person stopped stays
as it is, and one whose engine died three times in a row is given up until somebody resumes it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from smithers_git.cli import json_option

KINDS = click.Choice(("systemd", "launchd", "cron"))


@click.command(help=__doc__)
@click.option("--once", is_flag=True, help="Look once and return: for cron and systemd.")
@click.option("--dry-run", is_flag=True, help="Say once what would go on and what cannot; do nothing.")
@click.option("--max", "most", type=click.IntRange(1, 64), default=4, show_default=True, help="Runs at work at once.")
@click.option(
    "--every", type=click.FloatRange(0.1, 3600), default=10, show_default=True, help="Seconds between two looks."
)
@click.option("--install", type=KINDS, help="Have the machine look every minute.")
@click.option("--uninstall", type=KINDS, help="Remove what --install wrote.")
@json_option
def command(**options: Any) -> int:
    from smithers_git.front import supervise

    return supervise.run(Path.cwd(), options)
