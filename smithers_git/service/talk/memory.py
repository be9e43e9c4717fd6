"""Whether an attempt can really go on with its conversation, what it is told when it cannot, and what is kept of it."""

from __future__ import annotations

import re
from typing import Final

from smithers_git.core.reply import AgentEvent
from smithers_git.names import file_name
from smithers_git.service import conversations
from smithers_git.service.job import Result
from smithers_git.service.talk.seat import Seat
from smithers_git.service.transcripts import Interpreter, stored

_SAID: Final = 2000
"""Characters of the last words that a summary holds."""
_TOOLS: Final = 12
_FILES: Final = 40


class Memory:
    """The conversation of one attempt, as far as it lies outside of it."""

    def __init__(self, seat: Seat, result: Result) -> None:
        self._seat, self._result = seat, result
        self._result.conversation = "new"

    def recall(self, session: str) -> bool:
        """Whether the attempt can go on with `session` here; its files are put back where they are missing."""
        seat, result = self._seat, self._result
        asked = conversations.Asked(seat.profile, seat.standing(), session, seat.folder)
        found = conversations.ready(asked, self._kept(session))
        if found.lost:
            seat.watch.live.report("other", f"the conversation cannot go on here: {found.lost}; a new one begins")
            return False
        result.conversation = "restored" if found.restored else "continued"
        if found.restored:
            seat.watch.live.report("other", "the files of the conversation were put back")
        return True

    def _kept(self, session: str) -> conversations.Kept | None:
        project = self._seat.project
        tip = project.tip(self._seat.job.run)
        return conversations.find(project.objects, project.objects.read_commit(tip).tree, session) if tip else None

    def anew(self, prompt: str) -> str:
        """What a new conversation begins with, in place of one that was to go on with `prompt`."""
        job, told = self._seat.job, self.summary()
        task = [] if job.new_pass else [job.prompt]  # the prompt of a new pass has the task in it
        return "\n\n".join(filter(None, (*task, told, prompt)))

    def summary(self) -> str:
        """What is known of the attempt before, for one that does not remember it; empty when nothing is.

        Written by rule, from its transcript: the last words, the last tools, the files that changed, why it ended.
        """
        job, changed = self._seat.job, self._seat.changed
        events = self._last_events()
        said = "\n".join(event.text for event in events if event.kind == "text")[-_SAID:]
        tools = [event.text for event in events if event.kind == "tool"][-_TOOLS:]
        if not said and not tools:
            return ""
        self._result.conversation = "summary"
        files = changed()
        more = f", and {len(files) - _FILES} more" if len(files) > _FILES else ""
        parts = [
            "You have worked on this before, in a conversation that cannot go on here. What is known of it:",
            f"It ended: {job.former[:_SAID]}" if job.former else "",
            f"Files that differ from before it: {', '.join(files[:_FILES])}{more}" if files else "No file differs.",
            "Its last steps:\n" + "\n".join(f"- {' '.join(tool.split())[:200]}" for tool in tools) if tools else "",
            f"What you said last:\n{said}" if said else "",
        ]
        return "\n\n".join(filter(None, parts))

    def _last_events(self) -> list[AgentEvent]:
        """What was said in the newest attempt at this node whose transcript the run has."""
        project, job = self._seat.project, self._seat.job
        tip = project.tip(job.run)
        if tip is None:
            return []
        name = re.compile(re.escape(file_name(job.key.node)) + r"@(\d+)\.(\d+)")
        attempts = stored(project, project.objects.read_commit(tip).tree)
        mine = {(int(m[1]), int(m[2])): one for key, one in attempts.items() if (m := name.fullmatch(key))}
        before = [number for number in mine if number < (job.key.iteration, job.attempt)]
        if not before:
            return []
        reader = Interpreter(self._seat.profile)
        data = b"".join(project.objects.read_blob(blob) for blob in mine[max(before)])
        return [*reader.feed(data), *reader.finish()]


def keep(seat: Seat, result: Result) -> None:
    """Have the frame that ends the attempt hold its conversation."""
    if result.session is None:
        return
    try:
        env = seat.standing()
        asked = conversations.Asked(seat.profile, env, result.session, seat.folder)
        kept = conversations.gather(asked, lambda: seat.redactor(env))
    except OSError as error:
        result.notes.append(f"{result.job.key}: its conversation is in no frame, it cannot be read: {error}")
        return
    result.kept = kept
    if kept is not None and kept.left_out:
        most = conversations.MOST >> 20
        result.notes.append(
            f"{result.job.key}: its conversation of {kept.left_out >> 20} MiB is in no frame, {most} is the most: "
            "another machine cannot go on with it"
        )
