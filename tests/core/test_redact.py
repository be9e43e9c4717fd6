"""No byte of a known secret gets through, however the stream is cut."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from smithers_git.core.redact import MASK, SHORTEST, Redactor, secrets_of


def fed(values: list[str], pieces: list[bytes]) -> bytes:
    redactor = Redactor(values)
    return b"".join(map(redactor.feed, pieces)) + redactor.finish()


# Few letters, so that secrets overlap, hold each other and are cut in every place.
secrets = st.lists(st.text("ab", min_size=SHORTEST, max_size=12), min_size=1, max_size=3)
pieces = st.lists(st.text("abc ", max_size=14), max_size=8)


@settings(deadline=None, max_examples=120)
@given(secrets, pieces)
@example(["aaaaaaaa", "aaaaaaaabbbb"], ["aaaaaaaa", "bbbb"])
@example(["abababab"], ["ababab", "abab", "ab"])
def test_the_borders_of_pieces_do_not_matter(values, pieces):
    whole = "".join(pieces)
    assert fed(values, [piece.encode() for piece in pieces]).decode() == Redactor(values).text(whole)


@settings(deadline=None, max_examples=120)
@given(secrets, pieces)
def test_no_known_secret_comes_out(values, pieces):
    found = fed(values, [piece.encode() for piece in pieces]).decode()
    assert not any(value in found for value in values)


@given(st.text("cde", min_size=0, max_size=40), st.integers(1, 7))
def test_what_holds_no_secret_is_unchanged(text, size):
    cut = [text[start : start + size].encode() for start in range(0, len(text), size)]
    assert fed(["abababab"], cut) == text.encode()


def test_of_two_secrets_the_longer_one_goes_as_a_whole():
    values = ["sk-12345678", "sk-12345678-abcdef"]
    assert fed(values, [b"x sk-12345678", b"-abcdef y"]) == f"x {MASK} y".encode()


@pytest.mark.parametrize(
    "value",
    [
        'quo"te\\and\\back',
        "-----BEGIN KEY-----\nMIIE\nabc\n-----END KEY-----\n",
        "tab\tand\rreturn\x1b",
        "pässwörter-ßß",
        "emoji-🔑-secret",
    ],
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_secret_inside_json_is_found_in_each_way_that_json_can_spell_it(value, ascii_only):
    line = json.dumps({"text": f"it is {value}!"}, ensure_ascii=ascii_only)
    found = fed([value], [line[:20].encode(), line[20:].encode()])
    assert json.loads(found) == {"text": f"it is {MASK}!"}
    assert Redactor([value]).text(value) == MASK


def test_a_secret_that_is_not_utf8_is_found_as_the_bytes_that_it_is():
    value = b"\xff\xfesecret-bytes".decode("utf-8", "surrogateescape")  # as os.environ holds it
    assert fed([value], [b"a \xff\xfesecret-", b"bytes b"]) == f"a {MASK} b".encode()


def test_without_a_secret_nothing_is_held_back():
    redactor = Redactor([])
    assert redactor.feed(b"abc") == b"abc"
    assert redactor.finish() == b""
    assert redactor.text("abc") == "abc"


def test_only_as_much_is_held_back_as_a_secret_could_need():
    redactor = Redactor(["x" * 100])
    assert len(redactor.feed(b"y" * 5000)) == 5000 - 99


def test_bytes_that_are_no_text_pass():
    assert fed(["abababab"], [bytes(range(256))]) == bytes(range(256))


@pytest.mark.parametrize(
    "name",
    [
        "ANTHROPIC_API_KEY", "GITHUB_TOKEN", "MY_SECRET", "DB_PASSWORD", "PGPASSWORD", "passwd", "AWS_CREDENTIALS",
        "SSH_PASSPHRASE", "aws_secret_access_key", "DB_PASS", "MYSQL_PWD",
    ],
)  # fmt: skip
def test_variables_whose_names_say_that_they_are_secret(name):
    assert secrets_of({name: "long enough", "OTHER": "long enough too"}) == ["long enough"]


@pytest.mark.parametrize("name", ["PATH", "HOME", "LANG", "PWD", "OLDPWD", "EDITOR", "COMPASS_DIR"])
def test_variables_that_are_not_secret(name):
    assert secrets_of({name: "long enough"}) == []


def test_a_short_value_would_take_words_out_of_every_text():
    assert secrets_of({"API_KEY": "x" * (SHORTEST - 1)}) == []


def test_a_secret_is_found_without_the_line_end_of_its_variable():
    assert fed(["long-secret\n"], [b"<long-secret>"]) == f"<{MASK}>".encode()
