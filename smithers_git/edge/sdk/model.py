"""The model that a name means, with the key and the address that the environment holds."""

from __future__ import annotations

import os
from typing import Any

from pydantic_ai.exceptions import UserError
from pydantic_ai.models import Model, infer_model
from pydantic_ai.providers import Provider, infer_provider

from smithers_git.core.sdk_agent import SdkAgent
from smithers_git.edge import sdk


class NoKey(Exception):
    """There is no key for the provider, and no address of one's own that may want none."""


def model_of(agent: SdkAgent) -> Model:
    """The model, ready to be asked.

    Raises:
        NoKey: no variable holds the key.
        UserError, ImportError: the library does not know the provider, or lacks what it needs for it.
    """
    own_address = agent.family == "openai" and bool(os.environ.get("OPENAI_BASE_URL"))
    if agent.family in ("anthropic", "openai", "google"):
        if not sdk.has_client(agent.family):
            raise ImportError(f"the library of {agent.family} is not installed: {sdk.INSTALL}")
        if not any(os.environ.get(name) for name in agent.keys) and not own_address:
            raise NoKey(f"{agent.provider}: no key; set {' or '.join(agent.keys)}")
    return infer_model(f"{agent.provider}:{agent.model}", provider_factory=_provider)


def _provider(name: str) -> Provider[Any]:
    if name in ("openai", "openai-chat", "openai-responses") and not os.environ.get("OPENAI_API_KEY"):
        from pydantic_ai.providers.openai import OpenAIProvider

        # A server of one's own that wants no key; the client refuses to be made without one.
        return OpenAIProvider(api_key="none", base_url=os.environ["OPENAI_BASE_URL"])
    try:
        return infer_provider(name)
    except ValueError as error:
        raise UserError(f"{error}; pydantic-ai has no such provider") from error
