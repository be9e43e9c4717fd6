"""The on-disk format of a frame."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kit import histories

from smithers_git.core import codec
from smithers_git.core import events as ev
from smithers_git.core.codec import FrameData, Owner, decode, dumps, encode
from smithers_git.core.state import State, apply
from smithers_git.errors import FormatError
from smithers_git.names import TaskKey

OWNER = Owner(4711, "ada's-machine")
FRAME = FrameData("r1", 3, 1234.5, OWNER, (ev.TaskFinished(node="a", attempt=1),))


def shuffled(value, draw):
    """The same value with the keys of every object in another order."""
    if isinstance(value, dict):
        return {key: shuffled(value[key], draw) for key in draw(st.permutations(list(value)))}
    return [shuffled(one, draw) for one in value] if isinstance(value, list) else value


# -- canonical JSON


@settings(deadline=None)
@given(histories.plain, st.data())
def test_equal_values_have_equal_bytes_whatever_the_order_of_their_keys(value, data):
    written = dumps(value)
    assert dumps(shuffled(value, data.draw)) == written
    assert json.loads(written) == value
    assert dumps(json.loads(written)) == written


def test_the_form_is_what_it_was_when_the_first_frames_were_written():
    assert dumps({"b": [1, 2.5, None], "a": {"ü": True}}) == (
        '{\n "a": {\n  "ü": true\n },\n "b": [\n  1,\n  2.5,\n  null\n ]\n}\n'.encode()
    )


@settings(deadline=None)
@given(histories.plain | st.dictionaries(st.integers() | st.text(), st.lists(histories.plain, max_size=2), max_size=3))
def test_the_form_is_that_of_pythons_own_json(value):
    if len({type(key) for key in value} if isinstance(value, dict) else ()) > 1:
        return  # keys of several types have no order
    usual = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    assert dumps(value) == usual.encode("utf-8", "replace") + b"\n"


def test_a_value_that_holds_itself_is_refused():
    circle: list[object] = []
    circle.append(circle)
    with pytest.raises(ValueError, match="in itself"):
        dumps(circle)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, [math.nan], {"a": math.inf}])
def test_what_json_cannot_hold_is_refused(value):
    with pytest.raises(ValueError, match="JSON"):
        dumps(value)


def test_a_lone_surrogate_does_not_stop_a_frame():
    assert dumps("a\udcffb") == b'"a?b"\n'


# -- frames


frames = st.builds(
    FrameData,
    run=st.from_regex(r"[a-z0-9]{1,20}", fullmatch=True),
    number=st.integers(0, 10**6),
    time=histories.numbers,
    owner=st.builds(Owner, st.integers(1, 2**31), histories.texts),
    events=st.lists(histories.events, max_size=3).map(tuple),
)


@settings(deadline=None, max_examples=80)
@given(frames)
def test_every_frame_comes_back_as_it_was(frame):
    data = encode(frame)
    assert decode(data, "x") == frame
    assert encode(decode(data, "x")) == data


@pytest.mark.parametrize("kind", histories.KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_of_event_comes_back_as_it_was(kind):
    @settings(deadline=None, max_examples=30)
    @given(histories.of_model(kind))
    def check(event):
        frame = FrameData("r", 0, 0.0, OWNER, (event,))
        assert decode(encode(frame), "x").events == (event,)

    check()


@settings(deadline=None, max_examples=30)
@given(histories.histories())
def test_what_was_written_folds_to_the_state_that_was_in_memory(history):
    memory, read = State(), State()
    for event, at in history:
        apply(memory, event, at)
        frame = decode(encode(FrameData("r", 0, at, OWNER, (event,))), "x")
        apply(read, *frame.events, frame.time)
    assert read == memory


def test_a_frame_says_its_format_and_is_readable():
    raw = json.loads(encode(FRAME))
    assert raw == {
        "format": 1,
        "run": "r1",
        "number": 3,
        "time": 1234.5,
        "owner": {"pid": 4711, "host": "ada's-machine"},
        "events": [{"type": "task.finished", "node": "a", "attempt": 1}],
    }


def test_fields_that_a_later_version_added_are_ignored():
    raw = json.loads(encode(FRAME))
    raw["hostname"] = 1
    raw["events"][0]["mood"] = "fine"
    assert decode(dumps(raw), "x") == FRAME


def test_a_newer_format_is_refused_also_when_its_events_are_unknown():
    raw = json.loads(encode(FRAME)) | {"format": 2, "events": [{"type": "task.pondered"}], "owner": None}
    with pytest.raises(FormatError, match="frame abc was written in format 2; this smithers knows up to 1") as caught:
        decode(dumps(raw), "frame abc")
    assert caught.value.hint == "update smithers-git"


@pytest.mark.parametrize(
    "change",
    [
        {"format": None},
        {"format": "1"},
        {"run": 7},
        {"run": None},
        {"number": "3"},
        {"number": 3.5},
        {"number": None},
        {"number": -1},
        {"time": "noon"},
        {"time": None},
        {"owner": None},
        {"owner": {"pid": "x", "host": "h"}},
        {"owner": {"pid": 1}},
        {"events": None},
        {"events": {}},
        {"events": [7]},
        {"events": [{"type": "task.pondered"}]},
        {"events": [{"type": "task.finished"}]},
        {"events": [{"type": "task.finished", "node": 7, "attempt": 1}]},
        {"events": [{"node": "a", "attempt": 1}]},
    ],
    ids=str,
)
def test_a_frame_of_the_wrong_shape_is_damaged(change):
    with pytest.raises(FormatError, match="frame abc is damaged") as caught:
        decode(dumps(json.loads(encode(FRAME)) | change), "frame abc")
    assert "git fsck" in caught.value.hint


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"null", b"[]", b'"x"', b"7", b"{}", b"\xff\xfe", b"\0" * 40, b"[" * 100_000, b'{"format": NaN}'],
)
def test_bytes_that_are_no_frame_are_damaged(data):
    with pytest.raises(FormatError, match="is damaged"):
        decode(data, "frame abc")


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_a_torn_or_flipped_frame_is_whole_or_refused_and_nothing_else(data):
    whole = bytearray(encode(FRAME))
    if data.draw(st.booleans()):
        del whole[data.draw(st.integers(0, len(whole) - 1)) :]
    else:
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = decode(bytes(whole), "x")
    except FormatError:
        return
    assert isinstance(found.run, str)
    assert isinstance(found.number, int)


# -- paths


keys = st.builds(TaskKey, histories.node_ids, st.integers(0, 10**6))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), keys)
@example(0, TaskKey("a:b:c", 1))
@example(0, TaskKey("git", 0))
def test_a_path_is_relative_stays_in_its_folder_and_has_no_odd_part(sequence, key):
    for path, depth in ((codec.output_path(sequence, key), 3), (codec.transcript_path(sequence, key, 2, 0), 4)):
        parts = path.split("/")
        assert len(parts) == depth
        assert all(part and part not in (".", "..") and not part.startswith(".") for part in parts)
        assert not set(path) & set(':\\\0\n"*?<>|'), "some file system could not hold it"


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 200), keys), unique=True, max_size=20))
def test_different_outputs_have_different_paths(outputs):
    paths = {codec.output_path(sequence, key) for sequence, key in outputs}
    assert len(paths) >= len({key for _, key in outputs})


def test_folders_hold_at_most_64_outputs():
    folders = [codec.output_path(number, TaskKey(f"n{number}")).split("/")[1] for number in range(1000)]
    assert max(folders.count(folder) for folder in folders) == codec.FOLDER == 64
    assert folders == sorted(folders)


def test_paths_are_what_they_were_when_the_first_frames_were_written():
    assert codec.output_path(64, TaskKey("test:unit", 2)) == "outputs/001/test%3Aunit@2.json"
    assert codec.transcript_path(64, TaskKey("test:unit", 2), 3, 1) == "transcripts/001/test%3Aunit@2.3/0001.jsonl"


# -- messages


def message(*events: ev.Event) -> str:
    return codec.message(FrameData("r1", 7, 0.0, OWNER, events))


def test_a_message_says_what_happened_and_names_run_frame_and_nodes():
    assert message(
        ev.TaskFinished(node="review", iteration=2, attempt=1), ev.TaskStarted(node="ship", attempt=1, agent="claude")
    ) == (
        "frame 7: review@2 finished; ship started with claude\n\n"
        "Smithers-Run: r1\nSmithers-Frame: 7\nSmithers-Node: review@2\nSmithers-Node: ship\n"
    )


def test_a_node_that_two_events_are_about_is_named_once():
    finished = ev.TaskFinished(node="a", attempt=1)
    assert message(finished, finished).count("Smithers-Node") == 1


@settings(deadline=None, max_examples=80)
@given(st.lists(histories.events, min_size=1, max_size=4))
@example([ev.RunFailed(error="red\n\nSmithers-Run: another\nSmithers-Frame: 0\0")])
@example([ev.TaskSkipped(node="a", reason="\udcff\r\n\u2028x")])
def test_no_event_can_forge_a_trailer_or_break_the_subject(events):
    text = message(*events)
    subject, empty, *trailers, end = text.split("\n")
    assert subject.startswith("frame 7: ")
    assert len(subject) <= len("frame 7: ") + 100
    assert (empty, end) == ("", "")
    assert [line.partition(": ")[0] for line in trailers[:2]] == ["Smithers-Run", "Smithers-Frame"]
    assert all(line.startswith("Smithers-Node: ") for line in trailers[2:])
    assert trailers[0] == "Smithers-Run: r1"
    assert "\0" not in text.encode().decode()
