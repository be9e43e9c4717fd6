"""The program: `smithers`, or `python -m smithers_git`."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Entry point. What hook managers call at every commit comes before heavy imports: 40 ms and not 200.

    So does what is asked first of a program, by agents at each start: click takes 70 ms to say it.
    """
    words = sys.argv[1:]
    if words[:2] == ["hooks", "run"] and words[2:3] and not words[2].startswith("-"):
        from smithers_git.service.hook_entry import enter

        given = sys.stdin.buffer.read() if words[2] == "pre-push" and not sys.stdin.isatty() else b""
        sys.exit(enter(words[2], words[3:], given))
    if words in ([], ["-h"], ["--help"]) and _is_wide():
        from smithers_git.edge import output

        output.emit(_page())
    else:
        from smithers_git.cli import main as cli

        cli()


def _page() -> str:
    with open(f"{__file__.removesuffix('__main__.py')}help.txt", encoding="utf-8") as file:  # noqa: PTH123 - pathlib: 8 ms
        return file.read().removesuffix("\n")


def _is_wide() -> bool:
    """Whether the page looks as click would make it, which fills at most 80 columns."""
    told = os.environ.get("COLUMNS", "")
    try:
        return (int(told) if told else os.get_terminal_size(sys.stdout.fileno()).columns) >= 80
    except (ValueError, OSError):
        return not told


if __name__ == "__main__":
    main()
