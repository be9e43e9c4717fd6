"""Edits of foreign configuration files: one insertion each, nothing else moves, and it can be taken out to the byte."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smithers_git.core.config_edit import json_text, toml_text, whole_file, yaml_text
from smithers_git.core.config_edit.insertion import CannotEdit, cut

ENTRY = {"command": "/opt/smithers", "args": ["mcp"], "env": {}}
PATH = ("mcpServers", "smithers")

JSON_FILES = [
    "",
    "{}",
    "{ }\n",
    "{\n}\n",
    '{"mcpServers": {}}',
    '{"theme": "dark"}',
    '{\n  "mcpServers": {\n    "other": {"command": "x"}\n  }\n}\n',
    '{\n\t"a": 1,\n\t"mcpServers": {\n\t\t"other": {}\n\t}\n}',
    '// mine\n{\n  // servers\n  "mcpServers": {\n    "other": {}, // last\n  },\n  /* end */\n}\n',
    "{mcpServers: {other: {command: 'it\\'s', n: 0x1F},},}\n",
    '\ufeff{\r\n  "a": [1, 2, {"b": "}"}]\r\n}\r\n',
]


@pytest.mark.parametrize("text", JSON_FILES)
def test_a_server_is_put_into_json_and_taken_out_to_the_byte(text: str) -> None:
    before = json_text.read(text).value
    insertion = json_text.insert(text, PATH, ENTRY)
    after = insertion.apply(text)
    value = json_text.read(after).value
    assert value["mcpServers"].pop("smithers") == ENTRY
    assert {k: v for k, v in value.items() if v or k in before} == before
    assert cut(after, insertion.text) == text
    assert "\n" not in after.replace("\r\n", "") or "\r\n" not in text


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from(["a", "mcpServers", "b"]), values, max_size=3), st.sampled_from([None, 1, 2, "\t"])
)
def test_any_json_keeps_all_that_it_holds(document: dict[str, Any], indent: int | str | None) -> None:
    text = json.dumps(document, indent=indent)
    servers = document.get("mcpServers", {})
    if not isinstance(servers, dict) or "smithers" in servers:
        with pytest.raises(CannotEdit):
            json_text.insert(text, PATH, ENTRY)
        return
    insertion = json_text.insert(text, PATH, ENTRY)
    after = insertion.apply(text)
    assert json.loads(after) == {**document, "mcpServers": {**servers, "smithers": ENTRY}}
    removed = json.loads(json_text.remove(after, PATH))
    assert removed == {**document, "mcpServers": servers}
    assert after[: insertion.at] + after[insertion.at + len(insertion.text) :] == text


@pytest.mark.parametrize("text", ["[1]", "{", '{"a" 1}', '{"a": 1} x', '{"a": 1, "a": 2}', '{"mcpServers": 3}'])
def test_a_file_that_is_not_understood_is_left_alone(text: str) -> None:
    with pytest.raises(CannotEdit):
        json_text.insert(text, PATH, ENTRY)


TOML_FILES = ["", 'model = "x"\n', 'model = "x"', "[mcp_servers.other]\ncommand = 'y'\n\n", "a = 1\r\n[b]\r\nc = 2\r\n"]


@pytest.mark.parametrize("text", TOML_FILES)
def test_a_table_is_put_into_toml_and_taken_out(text: str) -> None:
    keys, entry = ("mcp_servers", "smithers"), {"command": "smithers", "args": ["mcp"]}
    insertion = toml_text.insert(text, keys, entry)
    after = insertion.apply(text)
    assert tomllib.loads(after)["mcp_servers"]["smithers"] == entry
    assert cut(after, insertion.text) == text
    more = after + "\n[mcp_servers.smithers.env]\nA = '1'\n\n[tail]\nx = 1\n"
    left = tomllib.loads(toml_text.remove(more, keys))
    assert left == {**tomllib.loads(text), "tail": {"x": 1}}


def test_toml_that_cannot_take_a_table_is_left_alone() -> None:
    with pytest.raises(CannotEdit):
        toml_text.insert("mcp_servers = {}\n", ("mcp_servers", "smithers"), {"command": "x"})


YAML_FILES = [
    "",
    "model: x\n",
    "model: x",
    "extensions:\n  other:\n    cmd: y\nmodel: x\n",
    "extensions:\n    other:\n        cmd: y\n",
    "extensions:  # mine\n\n  # first\n  other:\n    cmd: y\n\nmodel: x\n",
    "a: 1\nextensions:\n",
    "a: 1\nextensions:",
]


@pytest.mark.parametrize("text", YAML_FILES)
def test_an_entry_is_put_into_yaml_and_taken_out(text: str) -> None:
    keys, entry = ("extensions", "smithers"), {"cmd": "smithers", "args": ["mcp"], "enabled": True}
    insertion = yaml_text.insert(text, keys, entry)
    after = insertion.apply(text)
    assert yaml_text.holds(after, keys, entry), after
    assert cut(after, insertion.text) == text
    assert yaml_text.find(yaml_text.remove(after, keys), keys) is None
    kept = [line for line in yaml_text.remove(after, keys).splitlines() if line]
    assert [line for line in kept if line != "extensions:"] == [
        line for line in text.splitlines() if line not in ("", "extensions:")
    ]


@pytest.mark.parametrize(
    "text", ["extensions: {}\n", "extensions:\n- a\n", "extensions:\n  - a\n", "extensions:\n\tx: 1"]
)
def test_yaml_in_another_style_is_left_alone(text: str) -> None:
    with pytest.raises(CannotEdit):
        yaml_text.insert(text, ("extensions", "smithers"), {"cmd": "x"})


def test_a_file_of_its_own_is_known_again() -> None:
    text = whole_file.insert("", ("mcpServers", "smithers"), ENTRY).apply("")
    assert whole_file.holds(text, ("mcpServers", "smithers"), ENTRY)
    assert whole_file.remove(text, ("mcpServers", "smithers")) == ""
    with pytest.raises(CannotEdit):
        whole_file.remove(text + "  - name: other\n", ("mcpServers", "smithers"))
