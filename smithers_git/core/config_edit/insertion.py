"""What all edits of a foreign configuration file have in common: they are insertions, so that each can be undone."""

from __future__ import annotations

from dataclasses import dataclass


class CannotEdit(ValueError):
    """The file cannot be edited without risk; the message says why, in words that follow the file's name."""


@dataclass(frozen=True, slots=True)
class Insertion:
    """Text to put into a file at one place. Nothing of the file is changed or taken away."""

    at: int
    """Position in characters."""
    text: str

    def apply(self, whole: str) -> str:
        """The file with the insertion."""
        return whole[: self.at] + self.text + whole[self.at :]


def cut(whole: str, inserted: str) -> str | None:
    """`whole` without what was inserted, or None when it does not stand there exactly once."""
    return whole.replace(inserted, "") if inserted and whole.count(inserted) == 1 else None


def line_end(whole: str) -> str:
    """The line end that the file uses."""
    return "\r\n" if "\r\n" in whole else "\n"
