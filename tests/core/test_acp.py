"""The Agent Client Protocol without any process: what messages mean, in every shape that real agents gave them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smithers_git.core.acp import policy, rpc, usage
from smithers_git.core.acp.client import Client, Opening
from smithers_git.core.acp.minutes import Minutes
from smithers_git.core.acp.read import Scribe
from smithers_git.core.events import Usage
from smithers_git.core.lines import Lines
from smithers_git.core.redact import Redactor


def line(**message: Any) -> str:
    return rpc.encode(**message).decode().rstrip("\n")


def update(what: str, **more: Any) -> str:
    return line(method="session/update", params={"sessionId": "s", "update": {"sessionUpdate": what, **more}})


def chunk(text: str, **more: Any) -> str:
    return update("agent_message_chunk", content={"type": "text", "text": text}, **more)


OPENING = [line(id=1, result={"protocolVersion": 1}), line(id=2, result={"sessionId": "s"})]
CALL = {"toolCallId": "c", "title": "Write a.txt", "kind": "edit", "locations": [{"path": "a.txt"}]}
OPTIONS = [
    {"optionId": "yes", "name": "Yes", "kind": "allow_once"},
    {"optionId": "no", "name": "No", "kind": "reject_once"},
]
TURN = [
    chunk("I shall write."),
    update("tool_call", **CALL, status="pending"),
    line(id=0, method="session/request_permission", params={"sessionId": "s", "toolCall": CALL, "options": OPTIONS}),
    update("tool_call_update", toolCallId="c", status="completed"),
    chunk('{"a": '),
    chunk("1}"),
]
END = line(id=3, result={"stopReason": "end_turn"})


def talked(*lines: str) -> Client:
    """A conversation in which the agent said `lines` behind the first prompt."""
    client = Client(Opening("/work", "1"))
    for one in OPENING:
        client.take(one)
    assert client.phase == "ready"
    client.prompt("Do it.")
    for one in lines:
        client.take(one)
    return client


def test_the_answer_is_the_last_message_and_not_what_was_said_on_the_way():
    client = talked(*TURN, END)
    assert (client.phase, client.turn.stop, client.turn.answer) == ("ready", "end_turn", '{"a": 1}')
    assert talked(chunk("one", messageId="1"), chunk("two", messageId="2"), END).turn.answer == "two"
    assert talked(chunk("word"), update("tool_call", **CALL), chunk(" "), END).turn.answer == "word"


@pytest.mark.parametrize(
    ("result", "wanted"),
    [
        (
            {"usage": {"inputTokens": 300, "outputTokens": 17, "totalTokens": 317, "cachedReadTokens": 70}},
            (300, 17, 70),
        ),
        ({"usage": {"inputTokens": 150, "outputTokens": 7, "totalTokens": 207, "cachedReadTokens": 50}}, (200, 7, 50)),
        ({"_meta": {"quota": {"token_count": {"input_tokens": 300, "output_tokens": 17}}}}, (300, 17, 0)),
    ],
    ids=["copilot, vibe", "opencode", "gemini"],
)
def test_tokens_are_read_in_the_shape_of_each_agent(result: dict[str, Any], wanted: tuple[int, int, int]):
    assert usage.of_result(result) == Usage(input=wanted[0], output=wanted[1], cached=wanted[2])
    assert usage.of_result({"usage": {"inputTokens": "many", "outputTokens": True}}) is None


def test_tokens_that_come_with_each_call_of_the_model_are_added():
    def counted(given: int) -> str:
        return update("agent_message_chunk", content={}, _meta={"usage": {"inputTokens": given, "outputTokens": 1}})

    assert talked(counted(100), chunk("x"), counted(200), END).turn.usage == Usage(input=300, output=2, cached=0)


def test_tokens_of_a_conversation_are_counted_once():
    meter = usage.Meter("conversation", Usage(input=100, output=10))
    assert meter.turn(Usage(input=150, output=15)) == Usage(input=50, output=5)
    assert meter.turn(None) is None
    assert meter.turn(Usage(input=40, output=20)) == Usage(input=40, output=20), "a sum never shrinks"
    assert usage.Meter("turn").turn(Usage(input=5)) == Usage(input=5)


def test_a_tool_is_told_once_and_with_what_it_works_on():
    """As opencode tells it: first no more than a name."""
    lines = [
        update("tool_call", toolCallId="c", title="write", kind="edit", status="pending", rawInput={}),
        update(
            "tool_call_update", toolCallId="c", status="in_progress", title="write", rawInput={"filePath": "/w/a.py"}
        ),
        update(
            "tool_call_update", toolCallId="c", status="in_progress", title="write", rawInput={"filePath": "/w/a.py"}
        ),
        update(
            "tool_call_update",
            toolCallId="c",
            status="failed",
            content=[{"type": "content", "content": {"text": "no"}}],
        ),
        update("plan", entries=[{"content": "a", "status": "completed"}, {"content": "b", "status": "in_progress"}]),
        update("agent_thought_chunk", content={"type": "text", "text": "hm"}),
        line(method="_session/retrying", params={"category": "server_error", "detail": "HTTP 500"}),
        line(id=3, error={"code": 1, "message": "broken", "data": {"why": "x"}}),
    ]
    scribe = Scribe()
    assert [(event.kind, event.text) for one in lines for event in scribe.line(one)] == [
        ("tool", "write /w/a.py"),
        ("tool_done", "failed: no"),
        ("other", "plan: 1 of 2 done, now: b"),
        ("other", "hm"),
        ("retrying", "server_error HTTP 500"),
        ("other", 'broken: {"why": "x"}'),
    ]


def test_pieces_of_a_message_are_one_line_and_a_secret_across_them_is_seen():
    minutes = Minutes(lambda: Redactor(["secret-words"]))
    pieces = [
        chunk("first li"),
        chunk("ne\nthe sec"),
        chunk("ret-words are"),
        update("tool_call", **CALL),
        chunk("end"),
    ]
    written = [out for one in pieces for out in minutes.take(one)] + minutes.end()
    assert written == [chunk("first line\n"), chunk("the [redacted] are"), update("tool_call", **CALL), chunk("end")]


def inside(path: str) -> bool:
    return not path.startswith("/")


@pytest.mark.parametrize(
    ("kind", "paths", "read", "edit"),
    [
        ("read", ["/etc/passwd"], True, True),
        ("edit", ["a"], False, True),
        ("edit", ["a", "/b"], False, False),
        ("edit", [], False, False),
        ("delete", ["a"], False, True),
        ("execute", ["a"], False, False),
        ("fetch", [], False, False),
        ("switch_mode", [], False, False),
        ("", ["a"], False, False),
    ],
)
def test_a_level_allows_no_more_than_it_says(kind: str, paths: list[str], read: bool, edit: bool):
    message = {"toolCallId": "c", "kind": kind, "locations": [{"path": path} for path in paths]}
    asked = {"id": 5, "params": {"toolCall": message, "options": OPTIONS}}
    client = talked(line(method="session/request_permission", **asked))
    call = client.asked[0].call
    assert [policy.allowed(call, level, inside) for level in ("read", "edit", "full")] == [read, edit, True]


def test_a_person_can_choose_among_options_of_the_same_name():
    options = [{"optionId": str(number), "name": "Allow\x1b[2J", "kind": "x"} for number in range(2)]
    asked = policy.request({"params": {"options": options}}, talked(*TURN).asked[0].call)
    assert {name: one.id for name, one in asked.choices().items()} == {"Allow [2J": "0", "Allow [2J (1)": "1"}
    assert policy.question("x", talked(*TURN).asked[0], "/work") == (
        "x asks: Write a.txt\nkind: edit\nfile: a.txt\nin /work"
    )


def test_files_and_terminals_are_not_offered():
    client = talked(line(id="x", method="fs/write_text_file", params={"path": "/etc/passwd", "content": ""}))
    said = [json.loads(one) for one in client.unsent().splitlines()]
    assert said[0]["params"]["clientCapabilities"]["fs"] == {"readTextFile": False, "writeTextFile": False}
    assert (said[-1]["id"], said[-1]["error"]["code"]) == ("x", -32601)


PIECES = st.sampled_from(
    [*OPENING, *TURN, chunk("more"), "{", '{"id": 3}', "[" * 1500, '{"id": 3, "result": []}', "\x00"]
)


@st.composite
def broken(draw: st.DrawFn) -> Iterator[bytes]:
    """What an agent may say in which the end of the turn never comes whole: cut, doubled, mixed up, out of order."""
    said = draw(st.lists(PIECES | st.text(max_size=30), max_size=12))
    cut = draw(st.integers(1, len(END) - 1))
    said.insert(draw(st.integers(0, len(said))), END[:cut] if draw(st.booleans()) else END[cut:])
    data = "\n".join(said).encode()
    size = draw(st.integers(5, 200))
    return (data[start : start + size] for start in range(0, len(data), size))


@settings(max_examples=60, deadline=None)
@given(broken())
def test_a_turn_whose_end_never_comes_whole_is_never_a_success(pieces: Iterator[bytes]):
    client, lines, scribe, minutes = talked(), Lines(), Scribe(), Minutes(lambda: Redactor([]))
    said = [one for piece in pieces for one in lines.feed(piece)] + lines.flush()
    for one in said:
        client.take(one)
        for out in minutes.take(one):
            scribe.line(out)
    assert client.turn.stop != "end_turn"


@settings(max_examples=25, deadline=None)
@given(st.permutations(TURN), st.lists(st.text(max_size=20), max_size=3))
def test_messages_out_of_order_stop_nothing(order: list[str], noise: list[str]):
    client = talked(*order, *noise, END)
    assert (client.phase, client.turn.stop) == ("ready", "end_turn")
    assert len(client.asked) == 1
