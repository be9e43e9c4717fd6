"""One turn with a model: from the job to the lines that profile.toml explains."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic_ai import Agent, AgentRun, StructuredDict, UsageLimits
from pydantic_ai.capabilities import Hooks
from pydantic_ai.exceptions import (
    ContentFilterError,
    OutputTokenLimitExceeded,
    RetryModelRequest,
    UnexpectedModelBehavior,
    UserError,
)
from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
)
from pydantic_ai.models import Model, ModelRequestContext
from pydantic_ai.tools import RunContext
from pydantic_ai.toolsets import AbstractToolset

from smithers_git.core.sdk_agent import SdkAgent, SdkJob
from smithers_git.edge.sdk.failures import TELLING, Trouble, explain, is_blip
from smithers_git.edge.sdk.model import NoKey, model_of
from smithers_git.edge.sdk.servers import NoServer, toolsets
from smithers_git.edge.sdk.tools import Tools

Tell = Callable[[dict[str, Any]], None]
"""Takes one line of output."""

_PAUSES: Final = (1.0, 3.0)
"""Seconds before a request is made again that failed for a moment. Longer waits are the engine's."""
_BEAT: Final = 5.0
"""Seconds between two signs of life while a model writes or a command speaks."""
_INTERRUPTED: Final = "The process ended before this was finished. It may have had effects: look before doing it again."

_RULES: Final = """\
You work by yourself on a task in a software project; nobody can answer questions meanwhile. The current folder,
{folder}, is your workspace: a git worktree of your own. Paths are relative to it. Look before you change something,
change only what the task needs, and check what you did. Do not commit: your files are saved for you when you are done.
{commands}Give your final answer only when the work is done.
"""


class Unreadable(Exception):
    """The conversation so far is not what the library can go on with."""


@dataclass
class Turn:
    """What belongs to one turn.

    Args:
        agent: provider and model.
        permission: `read`, `edit` or `full`.
        job: what is to be done.
        folder: the workspace.
        tell: takes the lines.
    """

    agent: SdkAgent
    permission: str
    job: SdkJob
    folder: Path
    tell: Tell
    _told: int = 0
    """Messages of the conversation that are in the transcript already."""
    _beat: float = field(default=-_BEAT)

    def run(self) -> bool:
        """Have the turn; returns whether it succeeded."""
        try:
            answer = asyncio.run(self._converse())
        except NoKey as error:
            return self._end(Trouble("auth", str(error)))
        except Unreadable as error:
            return self._end(Trouble("lost_session", f"the conversation cannot be gone on with: {error}"))
        except NoServer as error:
            return self._end(Trouble("bad_request", str(error)))
        except TELLING as error:
            trouble = explain(error)
            if trouble is None:
                raise
            return self._end(trouble)
        self.tell({"type": "result", "answer": answer, "error": None})
        return True

    def _end(self, trouble: Trouble) -> bool:
        error = {"kind": trouble.kind, "message": trouble.message, "retry_after": trouble.retry_after}
        self.tell({"type": "result", "answer": "", "error": error})
        return False

    async def _converse(self) -> str:
        try:
            history = ModelMessagesTypeAdapter.validate_python(self.job.history)
        except ValidationError as error:
            raise Unreadable(f"{error.error_count()} of its messages cannot be read") from error
        self._told = len(history)
        history = closed(history)
        limits = UsageLimits(request_limit=self.job.max_requests)
        # All of it is entered, so that connections and servers are closed in the end.
        async with AsyncExitStack() as stack:
            servers = await toolsets(self.job.servers, self.permission, stack)
            agent = await stack.enter_async_context(self._agent(model_of(self.agent), servers))
            run = await stack.enter_async_context(
                agent.iter(self.job.prompt, message_history=history, usage_limits=limits)
            )
            try:
                await self._follow(run)
            except UnexpectedModelBehavior as error:
                # Again and again no answer of the wanted form. Words are an answer still: our own correction follows.
                said = _last_words(run.all_messages())
                if isinstance(error, ContentFilterError | OutputTokenLimitExceeded) or not said:
                    raise
                return said
        assert run.result is not None
        output = run.result.output
        return output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)

    async def _follow(self, run: AgentRun[None, Any]) -> None:
        async for node in run:
            if Agent.is_model_request_node(node):
                # Told before the model is asked: a kill while it thinks loses no result of a tool.
                self._tell_messages([*run.all_messages(), node.request])
                async with node.stream(run.ctx) as stream:
                    await self._watch(stream)
            elif Agent.is_call_tools_node(node):
                self._tell_messages(run.all_messages())
                if node.model_response.finish_reason == "content_filter":
                    # The library asks again when the model says some words with its refusal.
                    raise ContentFilterError(_words(node.model_response) or "the model refused to go on")
        self._tell_messages(run.all_messages())

    def _agent(self, model: Model, servers: Sequence[AbstractToolset[Any]]) -> Agent[None, Any]:
        tools = Tools(self.folder, self.job, self.permission, self._alive)
        shell = "bash" in {function.__name__ for function in tools.functions()}
        commands = "" if shell else "You cannot run commands.\n"
        return Agent(
            model,
            output_type=_output(self.job.output),
            instructions=_RULES.format(folder=self.folder, commands=commands),
            tools=tools.functions(),
            toolsets=servers,
            retries={"tools": 10, "output": 3},
            # None of the clients' own: they would wait out a rate limit without a word.
            model_settings={"max_retries": 0, "cache": True},
            capabilities=[Hooks(model_request_error=self._again)],
        )

    async def _again(
        self, _ctx: RunContext[None], *, request_context: ModelRequestContext, error: Exception
    ) -> ModelResponse:
        attempt = request_context.attempt
        if not is_blip(error) or attempt > len(_PAUSES):
            raise error
        trouble = explain(error)
        self.tell({"type": "retrying", "message": trouble.message if trouble else str(error)})
        await asyncio.sleep(_PAUSES[attempt - 1])
        raise RetryModelRequest

    async def _watch(self, events: AsyncIterable[Any]) -> None:
        async for _event in events:
            self._alive()

    def _alive(self) -> None:
        now = time.monotonic()
        if now - self._beat >= _BEAT:
            self._beat = now
            self.tell({"type": "alive"})

    def _tell_messages(self, messages: Sequence[ModelMessage]) -> None:
        for number in range(self._told, len(messages)):
            message = messages[number]
            self.tell({"type": "message", "n": number, "message": _plain(message)})
            if isinstance(message, ModelResponse):
                self.tell(_usage(message))
        self._told = max(self._told, len(messages))


def closed(history: list[ModelMessage]) -> list[ModelMessage]:
    """A conversation that can go on: calls of tools that were never answered, because of a kill, are answered."""
    if not history or not isinstance(last := history[-1], ModelResponse):
        return history
    open_calls = [part for part in last.parts if isinstance(part, ToolCallPart)]
    answers = [
        ToolReturnPart(call.tool_name, _INTERRUPTED, tool_call_id=call.tool_call_id, outcome="failed")
        for call in open_calls
    ]
    return [*history, ModelRequest(parts=answers)] if answers else history


def _output(schema: dict[str, Any] | None) -> Any:
    """What the model has to give in the end; text where its schema is one that no tool can have."""
    if schema is None:
        return str
    try:
        return StructuredDict(schema)
    except UserError:  # recursive, or no object: the prompt says what is wanted
        return str


def _plain(message: ModelMessage) -> dict[str, Any]:
    """The message as JSON; arguments of tools as objects, so that event rules can look into them."""
    if isinstance(message, ModelResponse):
        message = replace(message, parts=[_readable(part) for part in message.parts])
    plain: dict[str, Any] = ModelMessagesTypeAdapter.dump_python([message], mode="json")[0]
    return plain


def _readable(part: Any) -> Any:
    if not isinstance(part, ToolCallPart) or not isinstance(part.args, str):
        return part
    try:
        arguments = json.loads(part.args)
    except ValueError:
        return part
    return replace(part, args=arguments) if isinstance(arguments, dict) else part


def _last_words(messages: Sequence[ModelMessage]) -> str:
    last = next((one for one in reversed(messages) if isinstance(one, ModelResponse)), None)
    return _words(last) if last else ""


def _words(response: ModelResponse) -> str:
    return " ".join(part.content for part in response.parts if isinstance(part, TextPart)).strip()


def _usage(response: ModelResponse) -> dict[str, Any]:
    usage = response.usage
    line: dict[str, Any] = {
        "type": "usage",
        "input": usage.input_tokens,
        "output": usage.output_tokens,
        "cached": usage.cache_read_tokens,
    }
    # From the price list that comes with the library; nothing where it does not know the model.
    if isinstance(usage.cost, Decimal):
        line["cost"] = float(usage.cost)
    return line
