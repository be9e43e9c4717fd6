"""The output of an agent CLI, read as its profile says, while it comes. Keeps only what the rules pick."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from smithers_git.core.collect import Collector
from smithers_git.core.events import Usage
from smithers_git.core.fish import documents
from smithers_git.core.json_path import Dispatch
from smithers_git.core.lines import MAX_LINE, Lines, strip_escapes
from smithers_git.core.profile import Profile
from smithers_git.core.profile_rules import EventRule
from smithers_git.core.reply import AgentEvent, EndReason, Reply
from smithers_git.core.verdict import Facts, judge

MAX_TEXT = 4 * 1024 * 1024
"""Bytes of a plain-text output that are kept: its end, where the answer stands."""
_TAIL = 8 * 1024
_SHORT = 300


class Reader:
    """Feed it standard output in pieces of any size: it gives events for the live view and, at the end, the reply.

    Args:
        profile: how to read it.
        before: tokens that the turns before this one used, when it goes on with a conversation. Some CLIs count them
            again; what they say is then taken less by it.
        session: the id of the conversation, where the command line names it and the CLI does not say it.
    """

    def __init__(self, profile: Profile, before: Usage | None = None, session: str | None = None) -> None:
        self._profile = profile
        self._given = None if profile.output.session else session
        usage = profile.output.usage
        self._whole = usage is not None and usage.counts == "conversation"
        self._before = before if self._whole else None
        self._mode = profile.output.mode
        self._lines = Lines()
        self._kept = bytearray()
        self._limit = MAX_TEXT if self._mode == "text" else MAX_LINE
        self._cut = False
        self._noise = ""
        self._counted: Usage | None = None
        self._collected = Collector(profile)
        self._events = Dispatch((rule.where, rule) for rule in profile.events)
        self._waits = [rule.regex for rule in profile.failure if rule.waits and rule.regex]
        self.waits = False
        """Whether the CLI waits for a person, who will not come: it had better be ended."""

    @property
    def session(self) -> str | None:
        """The conversation's id as soon as the CLI has said it: worth saving before the turn ends."""
        found = self._collected.get("session")
        return self._given if found is None else str(found)

    @property
    def usage(self) -> Usage | None:
        """Tokens of this turn so far; None when the CLI has said nothing."""
        total, before = self._collected.usage, self._before
        if total is None or before is None:
            return total
        return Usage(
            input=max(0, total.input - before.input),
            output=max(0, total.output - before.output),
            cached=max(0, total.cached - before.cached),
        )

    def feed(self, data: bytes) -> list[AgentEvent]:
        """Take the next bytes of standard output."""
        if self._mode != "jsonl":
            self._keep(data)
        if self._mode == "json":
            self._look(data.decode("utf-8", "replace"))
            return []
        return [event for line in self._lines.feed(data) for event in self._line(line)]

    def finish(
        self,
        exit_code: int | None,
        stderr: bytes = b"",
        files: Mapping[str, str] | None = None,
        *,
        ended: EndReason = "exited",
        message: str = "",
    ) -> Reply:
        """The reply, once the process is gone.

        Args:
            exit_code: None when a signal ended it.
            files: texts by source, as far as the CLI wrote them: `Profile.sources` names them.
            ended, message: how the process ended, as its runner says.
        """
        errors = strip_escapes(stderr[-MAX_TEXT:].decode("utf-8", "replace"))
        answer = self._settle(errors, files or {})
        facts = Facts(
            answer=answer,
            error=self._collected.error,
            closed=self._collected.closed or (self._mode == "text" and ended == "exited"),
            exit_code=exit_code,
            ended=ended,
            message=message,
            noise=self._noise,
            stderr=errors[-_TAIL:],
            met=frozenset(self._collected.met),
            dropped=self._lines.dropped + self._cut,
            wait=self._collected.wait,
        )
        cost = self._collected.get("cost")
        error = judge(self._profile, facts)
        return Reply(
            answer="" if error else answer,
            session=self.session,
            usage=self.usage,
            cost=None if cost is None or isinstance(cost, str) else float(cost),
            error=error,
            total=self._collected.usage if self._whole else None,
        )

    def _settle(self, errors: str, files: Mapping[str, str]) -> str:
        """Read what could not be read line by line; returns the answer."""
        for line in self._lines.flush():
            self._line(line)
        plain = self._noise
        if self._mode != "jsonl":
            plain = strip_escapes(self._kept.decode("utf-8", "replace")).replace("\r\n", "\n").strip()
            self._noise = plain[-_TAIL:]
        if self._mode == "json":
            for document in documents(plain)[-1:]:
                self._collected.document(document)
        self._collected.text("stdout", plain)
        self._collected.text("stderr", errors)
        # What a CLI noted while it worked is older than what it says of its end.
        for source in sorted(files, key=lambda source: (not source.startswith("state:"), source)):
            self._collected.text(source, files[source])
        if self._mode == "text" and not self._profile.output.answer:
            return plain
        return str(self._collected.get("answer") or "")

    def _keep(self, data: bytes) -> None:
        self._kept += data
        if len(self._kept) > 2 * self._limit:
            self._cut = True
            del self._kept[: -self._limit]

    def _look(self, text: str) -> None:
        self.waits = self.waits or any(regex.search(text) for regex in self._waits)

    def _line(self, line: str) -> list[AgentEvent]:
        if not line.startswith(("{", "[")):
            line = strip_escapes(line).strip()
            self._look(line)
        if self._mode == "text":
            return [AgentEvent("text", line)] if line else []
        value = None
        if line.startswith(("{", "[")):
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                value = None
        if value is None:
            self._noise = f"{self._noise}{line[-_TAIL:]}\n"[-_TAIL:]
            return []
        return self._document(value)

    def _document(self, value: Any) -> list[AgentEvent]:
        self._collected.document(value)
        events = [event for rule in self._events.match(value) for event in _events(rule, value)]
        if self._collected.usage is not self._counted and (usage := self.usage):
            self._counted = self._collected.usage
            events.append(AgentEvent("usage", f"{usage.input} in, {usage.output} out"))
        return events


def _events(rule: EventRule, value: Any) -> list[AgentEvent]:
    events = []
    for part in rule.each.find(value):
        words = [str(word) for path in rule.text for word in path.find(part) if isinstance(word, str | int | float)]
        text = " ".join(words)
        events.append(AgentEvent(rule.kind, text if rule.kind == "text" else " ".join(text.split())[:_SHORT]))
    return events
