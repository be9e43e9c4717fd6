"""A secret that a configuration names and does not hold."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator


class Reference(BaseModel):
    """Where a value is: `{ env = "NAME" }`, `{ file = "path" }` or `{ command = "pass show x" }`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    env: str | None = None
    """A variable of the user's environment."""
    file: str | None = None
    """A file, whose whole content it is but for the last line end; a relative path begins at the checkout."""
    command: str | tuple[str, ...] | None = None
    """A command that prints it: a line for the shell, or words."""

    @model_validator(mode="after")
    def _says_one_thing(self) -> Reference:
        if [self.env, self.file, self.command].count(None) != 2:
            raise ValueError('a reference is one of { env = "NAME" }, { file = "path" }, { command = "…" }')
        return self

    def __str__(self) -> str:
        """As the configuration has it; it tells where the value is, never what it is."""
        if self.env is not None:
            return f"the variable {self.env}"
        if self.file is not None:
            return f"the file {self.file}"
        return f"the command `{self.command if isinstance(self.command, str) else ' '.join(self.command or ())}`"


def is_reference(value: Any) -> bool:
    """Whether a value of a configuration file is written as a reference."""
    return isinstance(value, dict) and len(value) == 1 and next(iter(value)) in Reference.model_fields


def _reference(value: Any) -> Any:
    # Read here, so that what is wrong in one is said in its own words and not as "is no string either".
    return Reference.model_validate(value) if isinstance(value, dict) else value


Secret = Annotated[str | Reference, BeforeValidator(_reference)]
"""A value as it is, or where it is."""
