"""Texts of events lose their secrets; what other events refer to stays as it is."""

from __future__ import annotations

import typing

from pydantic import BaseModel

from smithers_git.core import events as ev
from smithers_git.core.landing import events as queue
from smithers_git.core.landing.entry import Entry
from smithers_git.core.redact import MASK, Redactor
from smithers_git.core.scrub import NAMES, scrub

SECRET = "correct-horse-7"
redactor = Redactor([SECRET])


def test_texts_are_scrubbed_and_names_are_not():
    failed = ev.TaskFailed(node=SECRET, attempt=1, kind="error", message=f"it said {SECRET}", final=True)
    found = scrub(failed, redactor)
    assert (found.node, found.message) == (SECRET, f"it said {MASK}")
    assert scrub(found, redactor) is found


def test_values_of_any_depth_are_scrubbed():
    sent = ev.SignalArrived(id="1", name="go", data={"a": [{"b": f"<{SECRET}>"}], SECRET: 1})
    assert scrub(sent, redactor).data == {"a": [{"b": f"<{MASK}>"}], MASK: 1}
    entered = queue.EntryEntered(entry=Entry(id="1", name="n", head="h", title=f"use {SECRET}", body=SECRET))
    assert (scrub(entered, redactor).entry.title, scrub(entered, redactor).entry.body) == (f"use {MASK}", MASK)


def test_what_travels_beside_an_event_stays_with_it():
    answered = ev.WaitResolved(node="ask", by="Ada", reply=f"it is {SECRET}").holding({"a": 1})
    found = scrub(answered, redactor)
    assert found.reply == f"it is {MASK}"
    assert found.value == {"a": 1}


def test_every_name_is_a_field_of_some_event():
    fields = {"id", "head", "depends_on", "style", "approval", "ticket", "name"}
    for union in (ev.Event, queue.QueueEvent):
        kinds: tuple[type[BaseModel], ...] = typing.get_args(typing.get_args(union)[0])
        fields |= {name for kind in kinds for name in kind.model_fields}
    assert not NAMES - fields - {"permission"}
