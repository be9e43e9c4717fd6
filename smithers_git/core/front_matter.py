"""The head of a Markdown file: TOML between `+++` lines, or simple YAML between `---` lines, with its line numbers.

Of YAML, what such heads are made of is read: one `key: value` a line, with words, numbers and quoted text, and lists
in brackets or one `- item` a line. Everything else is refused with its line. No YAML library stands among our
dependencies, and one would bring what nobody wants in a ticket: anchors, tags, and `no` that means False.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from smithers_git.errors import TicketError

_FENCES: Final = {"+++": "toml", "---": "yaml"}
_KEY: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*)\s*:(?:\s+(.*))?$")
_TOML_KEY: Final = re.compile(r'\s*"?([A-Za-z0-9_-]+)"?\s*=')
_TOML_LINE: Final = re.compile(r" \(at line (\d+), column \d+\)")
_NUMBER: Final = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FRACTION: Final = re.compile(r"[-+]?[0-9]{1,17}\.[0-9]{1,17}")
_COMMENT: Final = re.compile(r"(?:^|\s)#.*$")
_QUOTED: Final = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^']|'')*'""")
_BLANK: Final = re.compile(r"\A(?:[^\S\n]*\n)+")
_ESCAPES: Final = {'"': '"', "\\": "\\", "/": "/", "n": "\n", "t": "\t", "r": "\r"}
_STRANGE: Final = {
    "|": "text over several lines",
    ">": "text over several lines",
    "{": "a table in braces",
    "&": "an anchor",
    "*": "an alias",
    "!": "a tag",
    "%": "a directive",
    "@": "a reserved character",
    "`": "a reserved character",
}


class Plain(str):
    """A YAML word without quotes: what it means depends on what the key wants."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Document:
    """A file in its two parts."""

    head: dict[str, Any]
    body: str
    lines: dict[str, int]
    """The line of the file on which each key stands, from 1."""


def refuse(name: str, line: int, message: str, hint: str) -> NoReturn:
    """Raise TicketError that names file and line."""
    raise TicketError(f"{name}:{line}: {message}", hint=hint)


def read(text: str, name: str) -> Document:
    """The head and the body of the file `name` with this text; raises TicketError naming file and line."""
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    first = lines[0].rstrip()
    if first not in _FENCES:
        refuse(name, 1, "this file has no head", "begin it with a line +++, then id = …, title = …, then a line +++")
    end = next((number for number, line in enumerate(lines[1:], 1) if line.rstrip() == first), None)
    if end is None:
        refuse(
            name, 1, f"the head that begins here has no end: a second line {first} is missing", f"add a line {first}"
        )
    head = lines[1:end]
    body = _BLANK.sub("", "\n".join(lines[end + 1 :])).rstrip()
    if _FENCES[first] == "toml":
        return _toml(head, body, name)
    return _Yaml(name, head).document(body)


def _toml(head: list[str], body: str, name: str) -> Document:
    try:
        found = tomllib.loads("\n".join(head) + "\n")
    except tomllib.TOMLDecodeError as error:
        said, at = str(error), _TOML_LINE.search(str(error))
        line = int(at[1]) if at else len(head)
        message = _TOML_LINE.sub("", said).removesuffix(" (at end of document)")
        refuse(name, min(line, len(head)) + 1, f"{message[:1].lower()}{message[1:]}", "mend the TOML of this line")
    lines: dict[str, int] = {}
    for number, text in enumerate(head, 2):
        key = _TOML_KEY.match(text)
        if key:
            lines.setdefault(key[1], number)
    return Document(found, body, lines)


def typed(value: Any) -> Any:
    """What a YAML word means by itself: a number, true, false, nothing, or the word."""
    if isinstance(value, list):
        return [typed(one) for one in value]
    if not isinstance(value, Plain):
        return value
    if value in ("", "~", "null"):
        return None
    if value in ("true", "false"):
        return value == "true"
    if _NUMBER.fullmatch(value):
        return int(value)
    return float(value) if _FRACTION.fullmatch(value) else str(value)


class _Yaml:
    def __init__(self, name: str, head: list[str]) -> None:
        self.name = name
        self.head = head

    def document(self, body: str) -> Document:
        found: dict[str, Any] = {}
        lines: dict[str, int] = {}
        key = ""
        for number, line in enumerate(self.head, 2):
            bare = line.strip()
            if not bare or bare.startswith("#"):
                continue
            if "\t" in line[: len(line) - len(line.lstrip())]:
                self._refuse(number, "a tab at the beginning of a line", "use spaces")
            if bare == "-" or bare.startswith("- "):
                self._item(found, key, bare[1:].strip(), number)
                continue
            key, value = self._pair(line, number)
            if key in found:
                self._refuse(number, f"{key!r} stands here twice (before on line {lines[key]})", "keep one of them")
            found[key], lines[key] = self._value(value, number), number
        return Document(found, body, lines)

    def _pair(self, line: str, number: int) -> tuple[str, str]:
        match = _KEY.match(line)
        if line[0] == " ":
            self._refuse(number, "an indented line that is no item of a list", "write key: value without indentation")
        if match is None:
            self._refuse(number, f"{line.strip()[:40]!r} is not `key: value`", "write key: value")
        return match[1], (match[2] or "").strip()

    def _item(self, found: dict[str, Any], key: str, text: str, number: int) -> None:
        known = found.get(key)
        if not key or not (isinstance(known, list) or (isinstance(known, Plain) and known == "")):
            self._refuse(number, "an item that belongs to no list", "put `key:` on the line before the first item")
        items = known if isinstance(known, list) else []
        value = self._value(text, number)
        if isinstance(value, list) or (isinstance(value, Plain) and (value == "" or _KEY.match(value))):
            self._refuse(number, "an item that is no simple text", "quote it: - 'text'")
        found[key] = [*items, value]

    def _value(self, text: str, number: int) -> Any:
        if text[:1] == "[":
            return self._list(text, number)
        value, rest = self._scalar(text, number, stops="")
        if rest and not rest.startswith("#"):
            self._refuse(number, f"{rest[:40]!r} after the end of the text", "put all of it into one pair of quotes")
        return value

    def _list(self, text: str, number: int) -> list[Any]:
        items: list[Any] = []
        rest = text[1:].strip()
        while not rest.startswith("]"):
            if not rest or rest.startswith("#"):
                self._refuse(number, "a list that is not closed on its line", "write one `- item` a line instead")
            if rest[0] == "[":
                self._refuse(number, "a list in a list", "write a plain list")
            value, rest = self._scalar(rest, number, stops=",]")
            if isinstance(value, Plain) and value == "":
                self._refuse(number, "an empty item", "take the comma out")
            items.append(value)
            if rest.startswith(","):
                rest = rest[1:].strip()
            elif rest and not rest.startswith("]"):
                self._refuse(number, f"{rest[:40]!r} after an item", "put a comma between items")
        left = rest[1:].strip()
        if left and not left.startswith("#"):
            self._refuse(number, f"{left[:40]!r} after the list", "take it out")
        return items

    def _scalar(self, text: str, number: int, stops: str) -> tuple[str, str]:
        """One value at the beginning of `text`, and what is left behind it."""
        if text[:1] in ('"', "'"):
            match = _QUOTED.match(text)
            if match is None:
                self._refuse(number, "a quote that is not closed on its line", "close it")
            return self._unquoted(match[0], number), text[match.end() :].strip()
        if text[:1] in _STRANGE:
            hint = (
                "longer text belongs into the body below the head" if text[0] in "|>" else "put the value into quotes"
            )
            self._refuse(number, f"{_STRANGE[text[0]]} ({text[0]}) is not read here", hint)
        end = min((at for stop in stops if (at := text.find(stop)) >= 0), default=len(text))
        plain, rest = text[:end], text[end:].strip()
        if stops and end == len(text):
            self._refuse(number, "a list that is not closed on its line", "write one `- item` a line instead")
        plain = _COMMENT.sub("", plain).strip()
        if ": " in plain or plain.endswith(":"):
            self._refuse(number, f"{plain[:40]!r} holds a colon, which YAML takes for a key", "put it into quotes")
        return Plain(plain), rest

    def _unquoted(self, text: str, number: int) -> str:
        if text[0] == "'":
            return text[1:-1].replace("''", "'")

        def escaped(match: re.Match[str]) -> str:
            if len(match[1]) == 5 and not 0xD800 <= (code := int(match[1][1:], 16)) < 0xE000:
                return chr(code)
            if match[1] not in _ESCAPES:
                self._refuse(number, f"the escape \\{match[1]} is not read here", "use single quotes")
            return _ESCAPES[match[1]]

        return re.sub(r"\\(u[0-9A-Fa-f]{4}|.)", escaped, text[1:-1])

    def _refuse(self, number: int, message: str, hint: str) -> NoReturn:
        refuse(self.name, number, message, hint)
