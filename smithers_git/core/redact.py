"""Take known secrets out of a stream before it is stored. Pure; borders between pieces do not matter."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

_NAMES = re.compile(r"KEY|TOKEN|SECRET|CREDENTIAL|PASS(WORD|WD|PHRASE)|_(PASS|PWD)$", re.IGNORECASE)
SHORTEST = 8
"""Characters. A shorter value would take ordinary words out of every text."""
MASK = "[redacted]"


def secrets_of(environ: Mapping[str, str]) -> list[str]:
    """Values in an environment whose names say that they are secret."""
    return [value for name, value in environ.items() if _NAMES.search(name) and len(value) >= SHORTEST]


class Redactor:
    """Replaces each known value, also where JSON spells it with escapes. The text around it stays valid JSON."""

    def __init__(self, values: Iterable[str]) -> None:
        forms = {form.encode("utf-8", "surrogateescape") for value in values for form in _forms(value)}
        ordered = sorted(forms, key=len, reverse=True)  # the longest first: one value may hold another
        self._pattern = re.compile(b"|".join(map(re.escape, ordered))) if ordered else None
        self._overlap = len(ordered[0]) - 1 if ordered else 0
        self._rest = b""

    def feed(self, chunk: bytes) -> bytes:
        """The next piece, secrets replaced; its last few bytes are held back until what follows is known."""
        self._rest += chunk
        return self._replace(len(self._rest) - self._overlap)

    def finish(self) -> bytes:
        """What was held back."""
        return self._replace(len(self._rest))

    def _replace(self, end: int) -> bytes:
        """Give out what begins before `end`: there, every value that could begin is seen whole."""
        out, at, data = [], 0, self._rest
        for match in self._pattern.finditer(data) if self._pattern else ():
            if match.start() >= end:
                break
            out += [data[at : match.start()], MASK.encode()]
            at = match.end()
        self._rest = data[max(at, end, 0) :]
        return b"".join([*out, data[at : max(at, end, 0)]])

    def text(self, text: str) -> str:
        """A whole text, secrets replaced."""
        if self._pattern is None:
            return text
        return self._pattern.sub(MASK.encode(), text.encode("utf-8", "replace")).decode("utf-8", "replace")


def _forms(value: str) -> set[str]:
    """A value as it stands in text and in JSON; without the line end that a program may leave out."""
    plain = {value, value.strip()}
    spelled = {json.dumps(form, ensure_ascii=ascii_only)[1:-1] for form in plain for ascii_only in (True, False)}
    return {form for form in plain | spelled if len(form) >= SHORTEST}
