"""Take known secrets out of a stream before it is stored. Pure; borders between pieces do not matter."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_NAMES = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL)", re.IGNORECASE)
SHORTEST = 8
"""Characters. A shorter value would take ordinary words out of every text."""
MASK = "[redacted]"


def secrets_of(environ: Mapping[str, str]) -> list[str]:
    """Values in an environment whose names say that they are secret."""
    return [value for name, value in environ.items() if _NAMES.search(name) and len(value) >= SHORTEST]


class Redactor:
    """Replaces each known value. As bytes too: a value keeps its place in JSON unless it holds a quote or backslash."""

    def __init__(self, values: Iterable[str]) -> None:
        forms = {form for value in values for form in (value, value.replace("\\", "\\\\").replace('"', '\\"'))}
        ordered = sorted(forms, key=len, reverse=True)  # the longest first: one value may hold another
        self._pattern = re.compile("|".join(map(re.escape, ordered)).encode()) if ordered else None
        self._overlap = max(map(len, (form.encode() for form in ordered)), default=1) - 1
        self._rest = b""

    def feed(self, chunk: bytes) -> bytes:
        """The next piece, secrets replaced; its last few bytes are held back until what follows is known."""
        if self._pattern is None:
            return chunk
        data = self._pattern.sub(MASK.encode(), self._rest + chunk)
        keep = min(self._overlap, len(data))
        self._rest = data[len(data) - keep :]
        return data[: len(data) - keep]

    def finish(self) -> bytes:
        """What was held back."""
        rest, self._rest = self._rest, b""
        return rest

    def text(self, text: str) -> str:
        """A whole text, secrets replaced."""
        if self._pattern is None:
            return text
        return self._pattern.sub(MASK.encode(), text.encode("utf-8", "replace")).decode("utf-8", "replace")
