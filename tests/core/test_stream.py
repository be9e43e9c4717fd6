"""The output of the shipped agents, as their real CLIs print it, and what is made of it."""

from __future__ import annotations

import itertools
import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smithers_git.core.events import Usage
from smithers_git.core.profile import Profile, load_profile
from smithers_git.core.reply import AgentEvent, Failure, Reply
from smithers_git.core.stream import Reader

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "tests" / "agents" / "recorded"


def shipped(name: str) -> Profile:
    return load_profile((ROOT / "agents" / f"{name}.toml").read_text(), f"agents/{name}.toml")


def replay(name: str, exit_code: int = 1, stderr: bytes = b"") -> tuple[list[AgentEvent], Reply]:
    """What comes of a recorded transcript."""
    reader = Reader(shipped(name.partition("-")[0]))
    events = reader.feed((RECORDED / f"{name}.jsonl").read_bytes())
    return events, reader.finish(exit_code, stderr)


def lines(*values: object) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


@pytest.mark.parametrize("cli", ["claude", "codex"])
def test_a_turn_that_edits_a_file(cli: str):
    events, reply = replay(f"{cli}-edit", 0)
    assert reply.error is None
    assert reply.answer == 'Fixed.\n{"summary": "fixed the sign", "files_changed": ["calc.py"]}'
    assert reply.session
    # three requests: 120 with 20 cached, 100, 150 with 100 cached; codex counts the cached ones as input
    assert reply.usage == Usage(input=370 if cli == "codex" else 490, output=80, cached=120)
    assert (reply.cost is not None) == (cli == "claude")
    kinds = [event.kind for event in events]
    assert kinds == ["started", "tool", "tool_done", "tool", "tool_done", "text", "usage"]
    assert "calc.py" in events[1].text
    assert "git status" in events[3].text


FAILED = [
    ("claude-429", "limit", "exceed your rate limit"),
    ("claude-subscription-limit", "limit", "5-hour limit"),
    ("claude-401", "auth", "Invalid API key"),
    ("claude-credit", "auth", "Credit balance is too low"),
    ("claude-400", "bad_request", "Prompt is too long"),
    ("claude-404", "bad_request", "selected model (nope)"),
    ("claude-500", "overload", "500 Internal server error"),
    ("claude-refusal", "refusal", "can't help with this"),
    ("claude-dropped", "crash", "API Error"),
    ("codex-429", "limit", "429 Too Many Requests"),
    ("codex-usage-limit", "limit", "hit your usage limit"),
    ("codex-quota", "auth", "Quota exceeded"),
    ("codex-401", "auth", "401 Unauthorized"),
    ("codex-400", "bad_request", "context window"),
    ("codex-404", "bad_request", "does not exist"),
    ("codex-500", "overload", "high demand"),
    ("codex-refusal", "refusal", "flagged for possible"),
    ("codex-dropped", "crash", "stream disconnected"),
]


@pytest.mark.parametrize(("name", "kind", "message"), FAILED, ids=[row[0] for row in FAILED])
def test_a_failure_is_of_its_kind_even_when_the_cli_exits_with_0(name: str, kind: str, message: str):
    for exit_code in (1, 0):
        _, reply = replay(name, exit_code)
        assert reply.error is not None
        assert reply.error.kind == kind
        assert message in reply.error.message
        assert reply.answer == ""


@pytest.mark.parametrize("cli", ["claude", "codex"])
def test_an_empty_answer_is_a_failure_although_the_cli_exits_with_0(cli: str):
    _, reply = replay(f"{cli}-empty", 0)
    assert reply.error == Failure("empty", f"{cli} gave an empty answer")


def test_a_subscription_says_when_its_limit_ends():
    _, reply = replay("claude-subscription-limit")
    assert reply.error is not None
    assert reply.error.retry_at == 1795300000


def test_codex_says_how_long_to_wait_in_words():
    failed = {"type": "turn.failed", "error": {"message": "Rate limit reached. Please try again in 11.5s."}}
    reader = Reader(shipped("codex"))
    reader.feed(lines(failed))
    error = reader.finish(1).error
    assert error is not None
    assert (error.kind, error.retry_after) == ("limit", 11.5)


def test_retry_notices_are_events_and_not_errors():
    events, reply = replay("codex-reconnects", 0)
    assert reply.error is None
    assert reply.answer == "Done at last."
    assert [event.kind for event in events if event.kind == "retrying"] == ["retrying"]
    events, _ = replay("claude-429")
    assert AgentEvent("retrying", "429 rate_limit") in events


LOST = [
    ("claude", (RECORDED / "claude-lost-session.jsonl").read_bytes(), b"No conversation found with session ID: 1111"),
    ("codex", b"", b"Error: thread/resume failed: no rollout found for thread id 1111 (code -32600)\n"),
]


@pytest.mark.parametrize(("cli", "stdout", "stderr"), LOST, ids=["claude", "codex"])
def test_a_conversation_that_is_gone_is_told_from_other_failures(cli: str, stdout: bytes, stderr: bytes):
    reader = Reader(shipped(cli))
    reader.feed(stdout)
    error = reader.finish(1, stderr).error
    assert error is not None
    assert error.lost_session
    assert "1111" in error.message


@pytest.mark.parametrize("cli", ["claude", "codex", "script"])
def test_an_exit_code_of_0_without_a_closing_event_is_a_crash(cli: str):
    reader = Reader(shipped(cli))
    reader.feed(b"hello\n")
    error = reader.finish(0).error
    assert error is not None
    assert error.kind == "crash"
    assert error.message == f"{cli} ended with exit code 0 and did not say that its turn was over: hello"


def test_bad_arguments_are_not_worth_a_retry():
    for cli, words in (("claude", b"error: unknown option '--x'\n"), ("codex", b"error: unexpected argument '--x'\n")):
        error = Reader(shipped(cli)).finish(1 if cli == "claude" else 2, words).error
        assert error is not None
        assert error.kind == "bad_request"


@pytest.mark.parametrize("ended", ["timeout", "idle", "cancelled", "unstartable"])
def test_a_turn_that_had_to_be_ended_says_so(ended):
    reader = Reader(shipped("claude"))
    reader.feed(lines({"type": "system", "subtype": "init", "session_id": "S"}))
    reply = reader.finish(None, ended=ended, message="no output for 600 s")
    assert reply.session == "S"
    assert reply.error == Failure(ended, "no output for 600 s")


def test_a_turn_that_was_complete_before_it_was_ended_counts():
    reader = Reader(shipped("claude"))
    reader.feed(lines({"type": "result", "is_error": False, "result": "done"}))
    assert reader.finish(None, ended="idle").error is None


def test_the_session_is_known_while_the_turn_goes_on():
    reader = Reader(shipped("codex"))
    assert reader.session is None
    reader.feed(b'{"type": "thread.started", "thread_id": "T"}\n{"type": "turn.')
    assert reader.session == "T"


def test_colours_titles_and_carriage_returns_do_not_hide_a_line():
    reader = Reader(shipped("claude"))
    reader.feed(b'\x1b]0;title\x07\x1b[?25l\x1b[1m{"type": "result", "result": "done"}\x1b[0m\r\n')
    assert reader.finish(0).answer == "done"


def test_escapes_inside_a_json_string_are_kept():
    reader = Reader(shipped("claude"))
    reader.feed(lines({"type": "result", "result": "\x1b[1mbold"}))
    assert reader.finish(0).answer == "\x1b[1mbold"


def test_invalid_utf8_is_replaced():
    reader = Reader(shipped("claude"))
    reader.feed(b'{"type": "result", "result": "a\xffb"}\n')
    assert reader.finish(0).answer == "a\ufffdb"


def test_a_line_of_more_than_16_mib_is_dropped_and_counted():
    reader = Reader(shipped("claude"))
    for _ in range(17):
        reader.feed(b"x" * 1024 * 1024)
    reader.feed(b"\n")
    error = reader.finish(0).error
    assert error is not None
    assert error.kind == "bug"
    assert "1 lines were too long to read" in error.message


def test_a_stream_of_50_mb_is_read_in_little_memory():
    filler = lines({"type": "user", "message": {"content": [{"type": "tool_result", "content": "x" * 20_000}]}}) * 3
    reader = Reader(shipped("claude"))
    tracemalloc.start()
    for _ in range(50_000_000 // len(filler)):
        reader.feed(filler)
    reader.feed(lines({"type": "result", "result": "done"}))
    reply = reader.finish(0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reply.answer == "done"
    assert peak < 4_000_000


TEXT = load_profile('program = ["x"]\nargv = ["{prompt}"]\noutput.mode = "text"\nsuccess.exit = [0]\n', "plain.toml")


def test_plain_text_is_the_answer_when_the_exit_code_allows_it():
    reader = Reader(TEXT)
    assert reader.feed(b"\x1b[32mHello\x1b[0m\r\nwor") == [AgentEvent("text", "Hello")]
    reader.feed(b"ld\n")
    assert reader.finish(0).answer == "Hello\nworld"
    for exit_code, ended, kind in ((1, "exited", "crash"), (None, "exited", "crash"), (0, "timeout", "timeout")):
        reader = Reader(TEXT)
        reader.feed(b"Hello\n")
        error = reader.finish(exit_code, ended=ended).error
        assert error is not None
        assert error.kind == kind
    empty = Reader(TEXT).finish(0).error
    assert empty is not None
    assert empty.kind == "empty"


def test_of_a_huge_plain_text_the_end_is_kept():
    reader = Reader(TEXT)
    for _ in range(20):
        reader.feed(b"x" * 1024 * 1024)
    reader.feed(b"\nthe end")
    reply = reader.finish(0)
    assert reply.answer.endswith("the end")
    assert len(reply.answer) <= 9 * 1024 * 1024


@given(cuts=st.lists(st.integers(0, 6000), max_size=12), cli=st.sampled_from(["claude", "codex"]))
def test_the_pieces_in_which_the_output_comes_make_no_difference(cuts: list[int], cli: str):
    data = (RECORDED / f"{cli}-edit.jsonl").read_bytes()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    reader = Reader(shipped(cli))
    events = [event for a, b in itertools.pairwise(edges) for event in reader.feed(data[a:b])]
    assert (events, reader.finish(0)) == replay(f"{cli}-edit", 0)


NOISE = st.binary(max_size=60) | st.sampled_from(
    [b'{"type":"result"', b'"result":', b"[", b"}", b"\n", b"null", b"\x1b["]
)


@given(
    pieces=st.lists(NOISE, max_size=20),
    cli=st.sampled_from(["claude", "codex", "script"]),
    code=st.none() | st.integers(0, 255),
)
def test_no_output_crashes_the_reader(pieces: list[bytes], cli: str, code: int | None):
    reader = Reader(shipped(cli))
    for piece in pieces:
        reader.feed(piece)
    reply = reader.finish(code, b"".join(pieces), {"x": "y"})
    assert (reply.error is None) == bool(reply.answer)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda x: (
            st.lists(x)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "type",
                        "result",
                        "message",
                        "content",
                        "usage",
                        "input_tokens",
                        "is_error",
                        "session_id",
                        "total_cost_usd",
                        "errors",
                    ]
                ),
                x,
            )
        ),
    )
)
def test_lines_of_another_shape_than_expected_do_no_harm(value: object):
    reader = Reader(shipped("claude"))
    if isinstance(value, dict):
        value = {**value, "type": "result"}
    reader.feed(lines(value))
    reply = reader.finish(0)
    assert (reply.error is None) == bool(reply.answer.strip())


def test_a_cli_that_counts_whole_conversations_is_taken_at_the_turn():
    def turn(count: int, before: Usage | None) -> Reply:
        reader = Reader(shipped("codex"), before)
        item = {"type": "agent_message", "text": "ok"}
        counts = {"input_tokens": count, "cached_input_tokens": count // 2, "output_tokens": count // 10}
        events = reader.feed(
            lines({"type": "item.completed", "item": item}, {"type": "turn.completed", "usage": counts})
        )
        reply = reader.finish(0)
        assert reply.usage is not None
        assert events[-1] == AgentEvent("usage", f"{reply.usage.input} in, {reply.usage.output} out")
        return reply

    first = turn(100, None)
    second = turn(250, first.total)
    assert first.usage == first.total == Usage(input=100, output=10, cached=50)
    assert second.usage == Usage(input=150, output=15, cached=75)
    assert second.total == Usage(input=250, output=25, cached=125)


def test_a_cli_that_counts_turns_needs_no_total():
    reader = Reader(shipped("claude"), Usage(input=50))
    reader.feed(lines({"type": "result", "result": "ok", "usage": {"input_tokens": 100, "output_tokens": 1}}))
    reply = reader.finish(0)
    assert reply.usage == Usage(input=100, output=1, cached=0)
    assert reply.total is None


def test_a_text_that_comes_in_pieces_is_put_together_and_what_was_said_before_is_left_out():
    profile = load_profile(
        """
program = ["x"]
argv = ["{prompt}"]
[output]
mode = "jsonl"
answer = { where = { type = "piece" }, path = "text", pick = "stream" }
[success]
event = { type = "end" }
""",
        "agents/x.toml",
    )
    reader = Reader(profile)
    said = ["I shall ", "look.", None, "It is\\n", "", "do", "ne."]
    for text in said:
        line = '{"type": "tool"}' if text is None else f'{{"type": "piece", "text": "{text}"}}'
        reader.feed(f"{line}\n".encode())
    reader.feed(b'{"type": "end"}\n')
    assert reader.finish(0).answer == "It is\ndone."


BREAKS = """
program = ["x"]
argv = ["{prompt}"]
[output]
mode = "jsonl"
answer = { where = { type = "text" }, path = "text" }
[success]
event = { type = "end" }
unless = { type = "abort" }
"""


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (({"type": "text", "text": "Let me see."}, {"type": "abort"}, {"type": "end"}), "cancelled"),
        (({"type": "end"},), "cancelled"),  # nothing was said: the end is that of the program, not of the turn
        (({"type": "text", "text": "Done."}, {"type": "end"}), None),  # it was complete before it was told to stop
    ],
)
def test_a_turn_that_is_closed_only_because_it_was_stopped_did_not_succeed(said: tuple[object, ...], kind: str | None):
    reader = Reader(load_profile(BREAKS, "agents/x.toml"))
    reader.feed(lines(*said))
    error = reader.finish(0, ended="cancelled", message="stopped").error
    assert (error.kind if error else None) == kind
