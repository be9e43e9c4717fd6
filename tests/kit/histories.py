"""Events that could be, and the histories of whole runs."""

from __future__ import annotations

import random
import types
import typing
from contextlib import suppress

from hypothesis import strategies as st
from kit import simulate
from pydantic import BaseModel

from smithers_git.core import events as ev
from smithers_git.errors import WorkflowError

KINDS: tuple[type[BaseModel], ...] = typing.get_args(typing.get_args(ev.Event)[0])
"""Every kind of event."""

node_ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_:-]{0,30}(\.[a-z0-9]{1,5})?", fullmatch=True)
texts = st.text(max_size=60)  # without lone surrogates, as hypothesis does by default
numbers = st.floats(0, 4e9, allow_nan=False)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
"""Any JSON value."""

_LEAVES = {str: texts, int: st.integers(0, 10**12), float: numbers, bool: st.booleans(), typing.Any: plain}


def _of(annotation) -> st.SearchStrategy:
    origin, inside = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in _LEAVES:
        return _LEAVES[annotation]
    if annotation is types.NoneType:
        return st.none()
    if origin is typing.Literal:
        return st.sampled_from(inside)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*map(_of, inside))
    if origin is list:
        return st.lists(_of(inside[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(_of(inside[0]), _of(inside[1]), max_size=3)
    return of_model(annotation)


def of_model(model: type[BaseModel]) -> st.SearchStrategy:
    """Any value of a model; what names a node is a node id."""
    fields = {
        name: node_ids if name in ("node", "loop") else _of(field.annotation)
        for name, field in model.model_fields.items()
    }
    return st.builds(model, **fields)


events = st.one_of(*map(of_model, KINDS))


@st.composite
def histories(draw) -> list[tuple[ev.Event, float]]:
    """All events of a run of a random plan, each with its time."""
    spec = draw(simulate.specs())
    needs = draw(simulate.wanted(simulate.steady(spec)))
    chance = random.Random(draw(st.integers(0, 2**32)))
    driver = simulate.Driver(
        lambda state: simulate.render(spec, state, needs),
        ends=lambda _key, _attempt: chance.choice([None, None, "error", "auth"]),
        approves=lambda _key: chance.random() < 0.7,
        chance=chance,
    )
    driver.state = simulate.State()
    driver.add(ev.RunCreated(run="r", workflow="w", entry="workflow.py", input={}, base="b" * 40))
    with suppress(WorkflowError):  # a deadlock, refused at the start: the history of a run that never began
        driver.run()
    return driver.history
