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


def test_without_a_secret_only_a_word_that_may_be_the_beginning_of_one_is_held_back():
    redactor = Redactor([])
    assert redactor.feed(b'{"text": "abc"}\n') == b'{"text": "abc"}\n'
    assert redactor.feed(b"abc") == b""
    assert redactor.feed(b" d") + redactor.finish() == b"abc d"
    assert redactor.text("abc") == "abc"


def test_only_as_much_is_held_back_as_a_secret_could_need():
    redactor = Redactor(["x" * 100])
    assert redactor.feed(b"y! " * 1000 + b"xx") == b"y! " * 1000
    assert len(redactor.feed(b"y" * 5000)) > 4000


def test_of_two_secrets_that_overlap_no_end_is_left():
    values = ["abcdefgh-1234", "1234-ijklmnop"]
    for cut in range(25):
        text = b"<abcdefgh-1234-ijklmnop>"
        assert fed(values, [text[:cut], text[cut:]]) == f"<{MASK}>".encode()
    assert fed(["aaaaaaaab"], [b"aaaaaaaabaaaaaaaab"]) == MASK.encode()


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


WORD = "Ab3dEf6hIj9lMn2pQr5tUv8xYz1bCd4fGh7j"
"""36 characters as keys have them. Below the prefixes stand apart, so that no scanner takes this file for a leak."""
SHAPES = [
    "sk-" + "ant-api03-" + WORD, "sk-" + "proj-" + WORD, "sk-" + WORD, "gh" + "p_" + WORD, "gh" + "o_" + WORD,
    "github_" + "pat_" + WORD, "xox" + "b-1234567890-" + WORD, "AK" + "IA" + "ABCDEFGHIJKLMNOP", "AI" + "za" + WORD,
    "gl" + "pat-" + WORD[:20], "np" + "m_" + WORD, "hf" + "_" + WORD, "sk" + "_live_" + WORD,
    "ey" + "JhbGciOiJIUzI1NiJ9.ey" + "JzdWIiOiIxIn0." + WORD,
]  # fmt: skip
BLOCK = "-----BEGIN RSA " + f"PRIVATE KEY-----\n{WORD}AB\n{WORD}/+\n{WORD}==\n-----END RSA PRIVATE " + "KEY-----"


@pytest.mark.parametrize("secret", SHAPES)
@pytest.mark.parametrize("around", ["see {}, then", "KEY={}\n", '{{"key": "\\n{}\\n"}}', "\x1b[32m{}\x1b[0m", "{}"])
def test_what_has_the_shape_of_a_key_is_taken_out_wherever_the_stream_is_cut(secret, around):
    text, wanted = around.format(secret), around.format(MASK)
    assert Redactor().text(text) == wanted
    for cut in range(len(text)):
        assert fed([], [text[:cut].encode(), text[cut:].encode()]).decode() == wanted
    assert fed([], [bytes([one]) for one in text.encode()]).decode() == wanted


@pytest.mark.parametrize(
    "spelled", [str, lambda text: json.dumps(text)[1:-1], lambda text: json.dumps(json.dumps(text))]
)
def test_a_private_key_is_taken_out_of_text_and_of_json(spelled):
    text = spelled(f"{BLOCK}\n")
    for cut in range(0, len(text), 3):
        found = fed([], [text[:cut].encode(), text[cut:].encode()]).decode()
        assert WORD[:16] not in found
        assert "BEGIN" not in found
        assert MASK in found
    assert json.loads(Redactor().text(json.dumps({"a": BLOCK, "b": 1})))["b"] == 1


@pytest.mark.parametrize("size", [1, 7, 64])
def test_the_words_before_a_secret_header_stay(size):
    text = f"curl -H 'Authorization: Bearer {WORD}' -H \"authorization: Basic dXNlcjpwYXNz\" x"
    cut = [text[at : at + size].encode() for at in range(0, len(text), size)]
    wanted = f"curl -H 'Authorization: Bearer {MASK}' -H \"authorization: Basic {MASK}\" x"
    assert fed([], cut).decode() == wanted


@pytest.mark.parametrize(
    "text",
    [
        "commit 0123456789abcdef0123456789abcdef01234567 and 01234567" + "89abcdef" * 7,
        "session 6f9619ff-8b86-4d01-b42d-00c04fc964ff of task-0123456789abcdef0123456789abcdef01234567",
        "the bearer of this letter; basic training; sk-learn; -----BEGIN CERTIFICATE-----\nMIIEabcdefghijkl",
        'if line.startswith("-----BEGIN PRIVATE KEY-----"): return',
        "data:image/png;base64," + "iVBORw0KGgoAAAANSUhEUgAA" * 40,
    ],
)
def test_object_ids_uuids_and_plain_words_stay(text):
    assert Redactor().text(text) == text
    assert fed([], [text[:40].encode(), text[40:].encode()]).decode() == text


parts = st.sampled_from(
    [*SHAPES, BLOCK, "secret-value-1", "value-1-secret-2", " ", "\n", '"', "\\", "word", "Bearer ", "-"]
)


@settings(deadline=None, max_examples=150)
@given(st.lists(parts, max_size=6), st.lists(st.integers(1, 90), max_size=12))
def test_borders_do_not_matter_for_shapes_and_values_together(told, sizes):
    values, data, cut, at = ["secret-value-1", "value-1-secret-2"], "".join(told).encode(), [], 0
    for size in sizes:
        cut.append(data[at : at + size])
        at += size
    assert fed(values, [*cut, data[at:]]) == fed(values, [data])


def test_a_value_keeps_its_form_and_loses_its_secrets_in_keys_too():
    value = {"a": ["x long-secret y", 1, None, True], "long-secret": {"b": SHAPES[0]}}
    assert Redactor(["long-secret"]).value(value) == {"a": [f"x {MASK} y", 1, None, True], MASK: {"b": MASK}}


@pytest.mark.parametrize("value", ["/home/ada/.config/key.json", "~/keys/id.pem", "./secrets/a-key.p8"])
def test_the_name_of_a_file_is_no_secret(value):
    assert secrets_of({"GOOGLE_APPLICATION_CREDENTIALS": value}) == []
    assert secrets_of({"TLS_KEY_FILE": "/etc/ssl/private/key"}) == []
    assert secrets_of({"AWS_SECRET_ACCESS_KEY": "/wJalrXUtnFEMI/K7MDENG/bPxRfiCY"}) != []
