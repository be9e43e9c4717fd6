"""Tickets: what a file may look like, what is refused with its line, and what keeps a set from being done."""

from __future__ import annotations

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smithers_git.core.board import blocked_tickets
from smithers_git.core.ticket import Ticket, compare, is_ticket_id, parse, render, ticket_problems, ticket_slug
from smithers_git.errors import TicketError

TOML = """\
+++
id = "every-cent"
title = "Pay every cent"
depends_on = ["in-cents"]
priority = 2
acceptance = ["split(1001, 3) adds up"]
owner = "Ada"
+++

The remainder is lost.
"""
YAML = """\
---
# what `smithers up kanban` reads
id: every-cent
title: "Pay every cent"     # one line
depends_on: [in-cents]
priority: 2
acceptance:
  - split(1001, 3) adds up
owner: Ada
---

The remainder is lost.
"""


def ticket(id: str, *needs: str, **more: object) -> Ticket:
    return Ticket.model_validate({"id": id, "title": id.title(), "depends_on": list(needs), **more})


@pytest.mark.parametrize("text", [TOML, YAML, TOML.replace("\n", "\r\n"), "\ufeff" + YAML])
def test_toml_and_yaml_say_the_same(text: str) -> None:
    assert parse(text, ".smithers/tickets/x.md") == Ticket(
        id="every-cent",
        title="Pay every cent",
        depends_on=["in-cents"],
        priority=2,
        acceptance=["split(1001, 3) adds up"],
        body="The remainder is lost.",
        extra={"owner": "Ada"},
    )


def test_the_file_name_and_the_first_heading_stand_in_for_id_and_title() -> None:
    found = parse("---\npriority: 1\n---\n\n# Pay every cent #\n\ntext", "tickets/every-cent.md")
    assert (found.id, found.title) == ("every-cent", "Pay every cent")


def test_criteria_may_stand_in_a_section_of_the_body() -> None:
    body = """\
## Acceptance criteria

- [ ] it adds
      up
* no cent is lost
### Further
1. twice the same
- twice the same
```
# no heading
```
- after the code

## Notes

- not a criterion
"""
    found = parse(f"+++\nid='a'\ntitle='A'\nacceptance = ['it adds up']\n+++\n{body}", "a.md")
    assert found.acceptance == ["it adds up", "no cent is lost", "twice the same", "after the code"]


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("# Just Markdown", "a.md:1: this file has no head", "+++"),
        ("---\nid: a\n", "a.md:1: the head that begins here has no end", "---"),
        ("+++\nid = 'a'\ntitle = \n+++", "a.md:3: invalid value", "TOML"),
        ("+++\nid = 'a'\nid = 'b'\n+++", "a.md:3: cannot overwrite a value", "TOML"),
        ("+++\ntitle = 'A'\nid = 7\n+++", "a.md:3: id is 7 and must be text", 'id = "7"'),
        ("+++\nid = 'a b'\ntitle = 'A'\n+++", "a.md:2: 'a b' cannot be the id", "letters, digits"),
        ("+++\nid = 'main'\ntitle = 'A'\n+++", "a.md:2: 'main' cannot be the id", "letters"),
        ("+++\nid = 'a'\n+++\ntext", "a.md:1: the ticket has no title", "title ="),
        ("+++\nid = 'a'\ntitle = \"A\\nB\"\n+++", "a.md:3: title must be one line", "body"),
        ("+++\nid = 'a'\ntitle = 'A'\npriority = 'high'\n+++", "a.md:4: priority is 'high'", "priority = 1"),
        ("+++\nid = 'a'\ntitle = 'A'\npriority = true\n+++", "a.md:4: priority is True", "priority = 1"),
        ("+++\nid = 'a'\ntitle = 'A'\ndepends_on = [1]\n+++", "a.md:4: depends_on must be a list of texts", "["),
        ("+++\nid = 'a'\ntitle = 'A'\ndepends_on = ['b c']\n+++", "a.md:4: 'b c' in depends_on", "letters"),
        ("+++\nid = 'a'\ntitle = 'A'\ndepends-on = ['b']\n+++", "a.md:4: there is no key 'depends-on'", "'depends_on'"),
        ("---\nid: a\nid: b\n---", "a.md:3: 'id' stands here twice (before on line 2)", "one of them"),
        ("---\ntitle: |\n  long\n---", "a.md:2: text over several lines (|)", "body"),
        ("---\ntitle: {a: b}\n---", "a.md:2: a table in braces", "quotes"),
        ("---\ntitle: &x a\n---", "a.md:2: an anchor", "quotes"),
        ("---\ntitle: a: b\n---", "a.md:2: 'a: b' holds a colon", "quotes"),
        ("---\ntitle: 'it's'\n---", 'a.md:2: "s\'" after the end of the text', "quotes"),
        ('---\ntitle: "\\x41"\n---', "a.md:2: the escape \\x is not read", "single quotes"),
        ('---\ntitle: "\\ud800"\n---', "a.md:2: the escape \\u", "single quotes"),
        ("---\ntitle: 'open\n---", "a.md:2: a quote that is not closed", "close it"),
        ("---\ndepends_on: [a,\n---", "a.md:2: a list that is not closed", "- item"),
        ("---\ndepends_on: [a, , b]\n---", "a.md:2: an empty item", "comma"),
        ("---\ndepends_on: [[a]]\n---", "a.md:2: a list in a list", "plain list"),
        ("---\ndepends_on: ['a' 'b']\n---", "a.md:2: \"'b']\" after an item", "comma"),
        ("---\ndepends_on: [a] b\n---", "a.md:2: 'b' after the list", "take it out"),
        ("---\n- a\n---", "a.md:2: an item that belongs to no list", "key:"),
        ("---\ntitle: A\n- a\n---", "a.md:3: an item that belongs to no list", "key:"),
        ("---\nacceptance:\n  - a: b\n---", "a.md:3: 'a: b' holds a colon", "quotes"),
        ("---\nacceptance:\n  -\n---", "a.md:3: an item that is no simple text", "quote"),
        ("---\n  title: A\n---", "a.md:2: an indented line", "without indentation"),
        ("---\n\ttitle: A\n---", "a.md:2: a tab", "spaces"),
        ("---\njust words\n---", "a.md:2: 'just words' is not `key: value`", "key: value"),
    ],
)
def test_what_cannot_be_read_is_refused_with_file_line_and_what_to_type(text: str, said: str, hint: str) -> None:
    with pytest.raises(TicketError) as caught:
        parse(text, "a.md")
    assert caught.value.message.startswith(said)
    assert hint in caught.value.hint


def test_yaml_words_keep_their_text_where_text_is_wanted() -> None:
    found = parse("---\nid: 007\ntitle: 2026\nacceptance: [true, 1.0]\nowner: no\ncount: 7\nnone: ~\n---", "a.md")
    assert (found.id, found.title, found.acceptance) == ("007", "2026", ["true", "1.0"])
    assert found.extra == {"owner": "no", "count": 7, "none": None}


def test_a_key_without_a_value_is_an_empty_list() -> None:
    assert parse("---\nid: a\ntitle: A\ndepends_on:\nacceptance: []\n---", "a.md").depends_on == []


WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=30)
IDS = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=20).filter(is_ticket_id)


EXTRA = st.dictionaries(
    st.text(string.ascii_lowercase + " ", min_size=6).map(lambda key: f"x {key}"),
    st.booleans() | st.integers(-9, 9) | WORDS | st.lists(WORDS, max_size=2) | st.just({"a b": [1]}),
    max_size=2,
)
TICKETS = st.builds(
    Ticket,
    id=IDS,
    title=WORDS.map(str.strip).filter(lambda text: text and text.isprintable()),
    depends_on=st.lists(IDS, unique=True, max_size=3),
    priority=st.integers(-9, 9),
    acceptance=st.lists(WORDS.map(lambda text: " ".join(text.split())).filter(bool), unique=True, max_size=3),
    extra=EXTRA,
)


@settings(max_examples=60, deadline=None)
@given(TICKETS)
def test_a_rendered_ticket_is_read_back_as_it_was(made: Ticket) -> None:
    assert parse(render(made), "other.md") == made


def test_the_body_is_kept_to_the_letter_but_for_blank_lines_around_it() -> None:
    made = ticket("a", body="    code first\n\n+++\n\n## Acceptance\n\n- one\n", acceptance=["one"])
    assert parse(render(made), "a.md").body == made.body.rstrip()


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Pay every cent of a bill", "pay-every-cent-of-a-bill"),
        ("Don't lose é: über!", "dont-lose-e-uber"),
        ("x" * 90, "x" * 40),
        ("One two three four five six seven eight nine ten", "one-two-three-four-five-six-seven-eight"),
        ("日本", "ticket"),
        ("main", "ticket"),
    ],
)
def test_a_slug_can_always_name_a_ticket(title: str, expected: str) -> None:
    assert ticket_slug(title) == expected
    assert is_ticket_id(expected)


def test_a_set_names_twins_unknown_dependencies_and_circles() -> None:
    found = ticket_problems(
        [ticket("a", "b"), ticket("b", "c"), ticket("c", "b"), ticket("d", "aa", "gone"), ticket("D")], ["gone"]
    )
    assert [tuple(one) for one in found] == [
        ("D", "two tickets have the id 'd' ('D')"),
        ("d", "it depends on 'aa', which is no ticket (did you mean 'a'?)"),
        ("b", "it depends on itself: b → c → b"),
        ("c", "it depends on itself: b → c → b"),
    ]
    assert ticket_problems([ticket("a"), ticket("b", "a"), ticket("c", "a", "b")]) == []


def test_two_circles_are_both_named() -> None:
    found = ticket_problems([ticket("a", "a"), ticket("x", "y"), ticket("y", "x")])
    assert {one.ticket for one in found} == {"a", "x", "y"}


def test_comparing_two_looks_sees_through_a_frame() -> None:
    dated = parse("+++\nid='a'\ntitle='A'\ndue = 2020-01-01\n+++", "a.md")
    from_frame = Ticket.model_validate(dated.model_dump(mode="json"))
    changes = compare([from_frame, ticket("b"), ticket("c")], [dated, ticket("b", priority=1), ticket("d")])
    assert (changes.edited, changes.added, changes.deleted) == (["b"], ["d"], ["c"])


def test_what_depends_on_a_failed_ticket_is_blocked_with_the_reason_and_siblings_are_not() -> None:
    tickets = [ticket("a"), ticket("b", "a"), ticket("c", "b"), ticket("d", "e"), ticket("e"), ticket("f", "lost")]
    found = blocked_tickets(tickets, landed={"e"}, failed={"a": "the check stayed red"})
    assert {id: (card.by, card.why) for id, card in found.items()} == {
        "b": (["a"], "a failed: the check stayed red"),
        "c": (["b"], "b is blocked itself"),
        "f": (["lost"], "lost has not landed and is not on this board"),
    }


def test_a_circle_blocks_itself_and_not_what_was_already_begun() -> None:
    tickets = [ticket("a", "b"), ticket("b", "a"), ticket("c", "a")]
    assert list(blocked_tickets(tickets, set(), {})) == ["a", "b", "c"]
    assert list(blocked_tickets(tickets, set(), {}, begun={"a"})) == []
