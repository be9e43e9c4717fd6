"""The program: `smithers`, or `python -m smithers_git`."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point. What hook managers call at every commit comes before heavy imports: 40 ms and not 200."""
    words = sys.argv[1:]
    if words[:2] == ["hooks", "run"] and words[2:3] and not words[2].startswith("-"):
        from smithers_git.service.hook_entry import enter

        given = sys.stdin.buffer.read() if words[2] == "pre-push" and not sys.stdin.isatty() else b""
        sys.exit(enter(words[2], words[3:], given))
    from smithers_git.cli import main as cli

    cli()


if __name__ == "__main__":
    main()
