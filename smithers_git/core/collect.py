"""What the rules of a profile pick from the documents and texts of one turn."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from smithers_git.core.events import Usage
from smithers_git.core.fish import documents
from smithers_git.core.json_path import Dispatch
from smithers_git.core.lines import MAX_LINE
from smithers_git.core.profile import Profile
from smithers_git.core.profile_rules import Rule, Wait

Value = str | float
_ROUNDED = re.compile(r"([-+]?\d+\.?\d*(?:[eE][-+]?\d+)?)([kKmM]?)")
_SUFFIXES = {"": 1.0, "k": 1e3, "m": 1e6}


class Picker:
    """One rule and what it has found so far."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.value: Value | None = None
        self.at = 0
        """Number of the line that `value` came from."""

    def document(self, document: Any, at: int) -> None:
        """Take a document for which the rule's `where` holds."""
        value = _together(chain.from_iterable(path.find(document) for path in self.rule.path))
        if value is not None and self.rule.regex:
            match = self.rule.regex.search(str(value))
            value = _matched(match) if match else None
        self._take(value, at)

    def text(self, text: str, at: int) -> None:
        if self.rule.path:
            for document in filter(self.rule.where, documents(text)):
                self.document(document, at)
        elif self.rule.regex:
            for match in self.rule.regex.finditer(text):
                self._take(_matched(match), at)

    def _take(self, value: Value | None, at: int) -> None:
        old, pick = self.value, self.rule.pick
        if value is None or value == "":
            if value is not None and pick == "stream" and at == self.at + 1:
                self.at = at  # an empty piece does not break the run
            return
        if old is None or pick == "last":
            self.value = value
        elif pick == "join" and len(str(old)) < MAX_LINE:
            self.value = f"{old}\n{value}"
        elif pick == "stream":
            self.value = f"{old}{value}"[-MAX_LINE:] if at == self.at + 1 else value
            self.at = at
        elif pick == "sum":
            self.value = _number(old) + _number(value)
        if self.value is not old:
            self.at = at


class Collector:
    """Every field of a profile's output rules, and which failure rules were met."""

    def __init__(self, profile: Profile) -> None:
        output, usage = profile.output, profile.output.usage
        self._profile = profile
        self._fields: dict[str, list[Picker]] = {
            name: [Picker(rule) for rule in rules]
            for name, rules in {
                "answer": output.answer,
                "session": output.session,
                "error": output.error,
                "cost": output.cost,
                "wait": output.wait,
                "input": usage.input if usage else (),
                "output": usage.output if usage else (),
                "cached": usage.cached if usage else (),
            }.items()
        }
        self._pickers = Dispatch((p.rule.where, p) for p in self._from("stdout") if p.rule.path)
        self._failures = Dispatch((rule.where, n) for n, rule in enumerate(profile.failure) if rule.where)
        self._counting = {id(p) for name in ("input", "output", "cached") for p in self._fields[name]}
        self._at = 0
        self._closed_at = 0
        self._broken = False
        self.usage: Usage | None = None
        """Tokens so far; None when the CLI has said nothing."""
        self.met: set[int] = set()
        """Positions of the failure rules whose `where` held."""

    @property
    def closed(self) -> bool:
        """Whether the closing event was seen, and nothing that takes it back."""
        return self._closed_at > 0 and not self._broken

    def document(self, document: Any) -> None:
        """Take one line, or the one document, of standard output."""
        self._at += 1
        for picker in self._pickers.match(document):
            picker.document(document, self._at)
            if id(picker) in self._counting:
                self.usage = self._count()
        self.met.update(self._failures.match(document))
        if self._profile.success.source == "stdout" and self._profile.success.event(document):
            self._closed_at = self._at
        broken = self._profile.success.unless
        self._broken = self._broken or bool(broken and broken(document))

    def text(self, source: str, text: str) -> None:
        """Take a text that is no stream of documents: standard error, a result file, plain output."""
        self._at += 1
        for picker in self._from(source):
            if source != "stdout" or not picker.rule.path:
                picker.text(text, self._at)
        success = self._profile.success
        if success.source == source != "stdout" and any(map(success.event, documents(text))):
            self._closed_at = self._at
        self.usage = self._count()

    def get(self, field: str) -> Value | None:
        """What the first rule of `field` that found something found."""
        return next((p.value for p in self._fields[field] if p.value is not None), None)

    @property
    def error(self) -> str | None:
        """The error that stands: one that a closing event on a later line follows was recovered from."""
        found = (p.value for p in self._fields["error"] if p.value is not None and p.at >= self._closed_at)
        return next((str(value) for value in found), None)

    @property
    def wait(self) -> tuple[str, float] | None:
        """(unit, amount) of the wait that the CLI asked for."""
        for picker in self._fields["wait"]:
            if picker.value is not None and isinstance(picker.rule, Wait):
                return picker.rule.unit, _number(picker.value)
        return None

    def _count(self) -> Usage | None:
        counts = {name: self.get(name) for name in ("input", "output", "cached")}
        if self._profile.output.usage is None or all(count is None for count in counts.values()):
            return None
        given, out, cached = (int(_number(count or 0)) for count in counts.values())
        if not self._profile.output.usage.input_includes_cached:
            given += cached
        return Usage(input=given, output=out, cached=cached)

    def _from(self, source: str) -> Iterator[Picker]:
        for pickers in self._fields.values():
            yield from (picker for picker in pickers if picker.rule.source == source)


def _together(values: Iterable[Any]) -> Value | None:
    """All matches of one document as one value: text is joined, numbers are added."""
    found = [v for v in values if isinstance(v, str | int | float) and not isinstance(v, bool)]
    texts = [v for v in found if isinstance(v, str)]
    if texts:
        return "".join(texts)
    return sum(v for v in found if not isinstance(v, str)) if found else None


def _matched(match: re.Match[str]) -> str:
    return (match[1] or "") if match.re.groups else match[0]


def _number(value: Value) -> float:
    """`value` as a number, rounded ones such as "2.5k" and "1,200" too (aider); other text counts as nothing."""
    if isinstance(value, str):
        match = _ROUNDED.fullmatch(value.strip().replace(",", ""))
        return float(match[1]) * _SUFFIXES[match[2].lower()] if match else 0.0
    return float(value)
