"""What a workflow says of itself, read and not run."""

from __future__ import annotations

from pathlib import Path

import pytest

from smithers_git.core.synopsis import Field, synopsis
from smithers_git.edge import content

FLOW = '''
"""The file.

More of it.
"""
raise SystemExit("this must not run")

class Base(BaseModel):
    deep: bool = False

class Request(Base):
    """What is asked."""
    prompt: str = Field(min_length=1, description="What is wanted.")
    many: int = Field(3, ge=1)
    names: list[str] = Field(default_factory=list)
    level: Literal["a", "b"] | None = Field(default=None, description="How deep.")
    plain: float
    _hidden: int = 1

@smithers_git.workflow(input=Request)
def flow(ctx):
    """Does it
    at once.

    Really.
    """
'''


def test_everything_that_is_written_is_found() -> None:
    found = synopsis({"workflow.py": FLOW}, "workflow.py")

    assert found.about == "Does it at once."
    assert found.fields == [
        Field("deep", "bool", False, "False", ""),
        Field("prompt", "str", True, None, "What is wanted."),
        Field("many", "int", False, "3", ""),
        Field("names", "list[str]", False, None, ""),
        Field("level", "Literal['a', 'b'] | None", False, "None", "How deep."),
        Field("plain", "float", True, None, ""),
    ]


@pytest.mark.parametrize(
    ("files", "about", "known"),
    [
        ({"workflow.py": "@workflow\ndef flow(ctx): ...\n"}, "", True),
        ({"workflow.py": '"""Just a file."""\n'}, "Just a file.", False),
        ({"workflow.py": "@workflow(input=Elsewhere)\ndef flow(ctx):\n  'It.'\n"}, "It.", False),
        ({"workflow.py": "class A(A): ...\n@workflow(input=A)\ndef flow(ctx):\n  'It.'\n"}, "It.", False),
        ({"workflow.py": "def broken(:\n"}, "", False),
        ({"other.py": "@workflow\ndef flow(ctx): ...\n"}, "", False),
    ],
)
def test_what_the_text_does_not_tell_is_left_open(files: dict[str, str], about: str, known: bool) -> None:
    found = synopsis(files, "workflow.py")

    assert (found.about, found.fields is not None) == (about, known)


@pytest.mark.parametrize("folder", content.list_packs(None).values(), ids=lambda folder: folder.name)
def test_every_built_in_pack_tells_what_it_takes(folder: Path) -> None:
    found = synopsis({path.name: path.read_text("utf-8") for path in folder.glob("*.py")}, "workflow.py")

    assert found.about
    assert found.fields
    assert all(field.about for field in found.fields), [field.name for field in found.fields if not field.about]
