"""Take secrets out of what is stored: values that are known, and what has the shape of a key. Pure.

Borders between pieces of a stream do not matter, two secrets that overlap leave nothing of either, and JSON around a
secret stays valid JSON. Object ids of git and UUIDs have no such shape, and stay.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

_NAMES: Final = re.compile(r"KEY|TOKEN|SECRET|CREDENTIAL|PASS(WORD|WD|PHRASE)|_(PASS|PWD)$", re.IGNORECASE)
_PLACE: Final = re.compile(r"(?i)_(FILE|PATH|DIR|SOCK)$")
_PATH: Final = re.compile(r"(?:~|\.{1,2})?/(?:[\w.@ -]+/)*[\w@ -]*\.[\w.@ -]+$")
"""A file with a dot in its name: no secret, and no base64 has a dot."""
SHORTEST: Final = 8
"""Characters. A shorter value would take ordinary words out of every text."""
MASK: Final = "[redacted]"

_TOKEN: Final = rb"[A-Za-z0-9_-]"
_HEADER: Final = rb"[A-Za-z0-9_.~+/=-]"
_BREAK: Final = rb"(?:\s|\\{1,8}[nrt])"
"""White space, also as JSON spells it, once or several times over."""
_SHAPES: Final = re.compile(
    rb"(?P<token>"
    # model services
    rb"sk-(?:ant|proj|svcacct|admin|or|lf)-" + _TOKEN + rb"{16,}|(?<![A-Za-z]{2})sk-[A-Za-z0-9]{32}" + _TOKEN + rb"*"
    rb"|(?:AIza|xai-|gsk_|hf_|pplx-)" + _TOKEN + rb"{30,}"
    # forges and registries
    rb"|gh[pousr]_[A-Za-z0-9]{30}" + _TOKEN + rb"*|github_pat_" + _TOKEN + rb"{22,}"
    rb"|gl(?:pat|dt|rt)-" + _TOKEN + rb"{16,}|(?:npm_|pypi-|dckr_pat_)" + _TOKEN + rb"{26,}"
    # clouds and other services
    rb"|A[KS]IA[A-Z0-9]{16}" + _TOKEN + rb"*|xox[abeoprs]-" + _TOKEN + rb"{10,}|xapp-" + _TOKEN + rb"{20,}"
    rb"|[rs]k_(?:live|test)_" + _TOKEN + rb"{16,}|(?:lin_api_|shpat_|dop_v1_)" + _TOKEN + rb"{26,}"
    rb"|AGE-SECRET-KEY-1[A-Z0-9]{40}" + _TOKEN + rb"*"
    rb")|(?P<dotted>(?:eyJ" + _TOKEN + rb"{6,500}\.eyJ|ya29\.|SG\." + _TOKEN + rb"{16,64}\.)[A-Za-z0-9_-]{6}[\w.-]*"
    rb")|[Bb]earer[ \t]{1,3}(?P<bearer>" + _HEADER + rb"{20,})"
    rb"|[Aa]uthorization:[ \t]{0,3}(?:[Bb]asic|[Tt]oken)[ \t]{1,3}(?P<basic>" + _HEADER + rb"{8,})"
    rb"|(?P<block>-----BEGIN (?:[A-Z0-9]{1,12} ){0,4}PRIVATE KEY(?: BLOCK)?-----" + _BREAK + rb"{0,8}"
    rb"(?:[A-Za-z-]{4,12}: [\w ,.()-]{1,80}" + _BREAK + rb"{1,8}){0,3}"
    rb"[A-Za-z0-9+/=]{16}(?:[A-Za-z0-9+/=]|" + _BREAK + rb")*)"
)
_ANCHORS: Final = (
    *((0, anchor) for anchor in (
        b"sk-", b"AIza", b"xai-", b"gsk_", b"hf_", b"pplx-", b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_",
        b"github_pat_", b"glpat-", b"gldt-", b"glrt-", b"npm_", b"pypi-", b"dckr_pat_", b"AKIA", b"ASIA", b"xox",
        b"xapp-", b"lin_api_", b"shpat_", b"dop_v1_", b"AGE-SECRET-KEY-1", b"eyJ", b"ya29.", b"SG.", b"-----BEGIN ",
    )),
    *((1, anchor) for anchor in (b"k_live_", b"k_test_", b"earer", b"uthorization:")),
)  # fmt: skip
"""What every shape holds, and how many bytes before it the shape begins. Looking for these words one after the other
is ten times as quick as the expression, which tries all its branches at each byte (CPython 3.11)."""
_WORDS: Final = tuple(anchor for _, anchor in _ANCHORS)
_TAILS: Final = {
    "token": re.compile(_TOKEN + rb"*"),
    "dotted": re.compile(rb"[\w.-]*"),
    "bearer": re.compile(_HEADER + rb"*"),
    "basic": re.compile(_HEADER + rb"*"),
    "block": re.compile(rb"(?:[A-Za-z0-9+/=]|" + _BREAK + rb")*"),
}
"""What still belongs to a shape whose beginning was in an earlier piece."""
_RUN: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.~+/=-"
_LONGEST_START: Final = 520
"""Bytes that the longest shape needs before it is one: the head of a JSON web token."""
_UNDECIDED: Final = re.compile(
    rb"(?:[Bb]earer[ \t]{1,3}" + _HEADER + rb"{0,19}"
    rb"|[Aa]uthorization:[ \t]{0,3}[A-Za-z]{0,5}[ \t]{0,3}" + _HEADER + rb"{0,7}"
    rb"|-----BEGIN [A-Za-z0-9+/=:,.()\s\\_-]{0,480})\Z"
)
_BEFORE: Final = 2
"""Bytes that a shape looks back to."""


def secrets_of(environ: Mapping[str, str]) -> list[str]:
    """Values in an environment whose names say that they are secret; names of files are none."""
    return [
        value
        for name, value in environ.items()
        if _NAMES.search(name) and len(value) >= SHORTEST and not _PLACE.search(name) and not _PATH.match(value)
    ]


class Redactor:
    """Replaces known values, also where JSON spells them with escapes, and whatever has the shape of a secret.

    One object serves one stream; `text` and `value` may be used at any time.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        forms = {form.encode("utf-8", "surrogateescape") for value in values for form in _forms(value)}
        self._forms = sorted(forms, key=len, reverse=True)
        self._data = b""
        """What is not given out yet, and before it a little of what is."""
        self._from = 0
        """Where in it that begins."""
        self._covered = 0
        """Up to here it is known to be secret already."""
        self._resume = 0
        """Where to look for the next shape."""
        self._open: str | None = None
        """The shape that goes on at `_resume`."""
        self._masking = False
        """Whether the last byte given out was a secret's."""

    def feed(self, chunk: bytes) -> bytes:
        """The next piece, secrets replaced; what may be the beginning of one is held back until more is known."""
        self._data += chunk
        return self._give(final=False)

    def finish(self) -> bytes:
        """What was held back."""
        return self._give(final=True)

    def text(self, text: str) -> str:
        """A whole text, secrets replaced."""
        if len(text) < SHORTEST:
            return text
        try:
            raw = text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:  # half of a surrogate pair, which JSON can spell and UTF-8 cannot
            raw = text.encode("utf-8", "replace")
        if not any(map(raw.__contains__, _WORDS)) and not any(map(raw.__contains__, self._forms)):
            return text
        clean = self._whole(raw)
        return text if clean == raw else clean.decode("utf-8", "surrogateescape")

    def value(self, value: Any) -> Any:
        """A value that JSON can hold, secrets in its texts replaced, those in keys of mappings too."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.value(key): self.value(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self.value(one) for one in value)
        return value

    def _whole(self, data: bytes) -> bytes:
        fresh = Redactor()
        fresh._forms = self._forms
        fresh._data = data
        return fresh._give(final=True)

    def _give(self, *, final: bool) -> bytes:
        """Give out what is decided."""
        data = self._data
        known, held = self._known(data)
        shapes, rest = self._shapes(data)
        end = len(data) if final else min(held, rest)
        # The word before a secret (`Bearer`) is what tells it: it goes out with it, not before.
        end = min([end, *(begin for begin, start, _, _ in shapes if begin < end <= start)])
        spans = sorted([(self._from, self._covered), *known, *((start, stop) for _, start, stop, _ in shapes)])
        out, at = [], self._from
        for start, stop in spans:
            if start >= end or stop <= at:
                continue
            if start > at:
                out.append(data[at:start])
                self._masking = False
            if not self._masking:
                out.append(MASK.encode())
                self._masking = True
            at = stop
        if at < end:
            out.append(data[at:end])
            self._masking = False
            at = end
        for begin, _, stop, name in shapes:
            if begin < end:
                self._resume, self._open = stop, name
        self._covered = max(self._covered, at, end)
        self._trim(end)
        return b"".join(out)

    def _trim(self, end: int) -> None:
        """Forget what was given out, but for what a shape looks back to."""
        cut = max(0, end - _BEFORE)
        self._data = self._data[cut:]
        self._from, self._covered = end - cut, self._covered - cut
        self._resume = max(self._resume - cut, self._from)

    def _known(self, data: bytes) -> tuple[list[tuple[int, int]], int]:
        """Where known values stand, and from where on one may have begun that is not whole yet."""
        found: list[tuple[int, int]] = []
        held = len(data)
        for form in self._forms:
            size = len(form)
            at = data.find(form, self._from)
            while at >= 0:
                if found and found[-1][0] <= at <= found[-1][1]:
                    found[-1] = found[-1][0], max(found[-1][1], at + size)
                else:
                    found.append((at, at + size))
                at = data.find(form, at + 1)
            at = data.find(form[:1], max(self._from, len(data) - size + 1))
            while 0 <= at < held:
                if form.startswith(data[at:]):
                    held = at
                at = data.find(form[:1], at + 1)
        return found, held

    def _shapes(self, data: bytes) -> tuple[list[tuple[int, int, int, str | None]], int]:
        """Where shapes stand, each with its name if it may go on; and from where on one may have begun."""
        found: list[tuple[int, int, int, str | None]] = []
        at, end = self._resume, len(data.rstrip(b"\\"))
        if self._open is not None:
            stop = _stop(_TAILS[self._open], data, at)
            found.append((at, at, stop, self._open if stop >= end else None))
            at = stop
        for begin in _candidates(data, at):
            match = _SHAPES.match(data, begin) if begin >= at else None
            if match is None:
                continue
            name = match.lastgroup or ""
            at = match.end()
            found.append((match.start(), match.start(name), at, name if at >= end else None))
        if found and found[-1][3] is not None:
            return found, at
        tail = data[max(at, len(data) - _LONGEST_START) :]
        held = len(tail) - len(tail.rstrip(_RUN))
        begun = _UNDECIDED.search(tail)
        held = max(held, len(data) - end, len(tail) - begun.start() if begun else 0)
        return found, len(data) - held


def _candidates(data: bytes, start: int) -> list[int]:
    """Where a shape may begin, from `start` on."""
    found = []
    for before, anchor in _ANCHORS:
        at = data.find(anchor, start + before)
        while at >= 0:
            found.append(at - before)
            at = data.find(anchor, at + 1)
    return sorted(found)


def _stop(tail: re.Pattern[bytes], data: bytes, at: int) -> int:
    match = tail.match(data, at)
    return match.end() if match else at


def _forms(value: str) -> set[str]:
    """A value as it stands in text, in JSON, and in JSON inside JSON; without a line end that may be left out."""
    plain = {value, value.strip()}
    spelled = {json.dumps(form, ensure_ascii=ascii_only)[1:-1] for form in plain for ascii_only in (True, False)}
    twice = {json.dumps(form, ensure_ascii=False)[1:-1] for form in spelled}
    return {form for form in plain | spelled | twice if len(form) >= SHORTEST}
