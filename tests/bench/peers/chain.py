"""A chain of trivial steps in one of the peers: `chain.py ENGINE N FOLDER [STOP]`, in their own environment.

Every step is durable before the next one begins, in the engine's own SQLite store with the settings that it comes with
(synchronous=FULL, SQLite's default, in all of them). Prints one JSON line: ms a step without import and start-up, from
the first step's engine call to the last one's, the peak in MB, what is on the disk, and what SQLite says of itself.

With STOP, the process dies in that step, as kill -9 would have it; when it is started again in the same FOLDER, the
first step that it runs writes `resumed`, and it dies there.
"""

from __future__ import annotations

import json
import os
import resource
import sqlite3
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

TEXT = "x" * 212
"""With its number, some 230 bytes of JSON."""

folder = Path(sys.argv[3])
stop = int(sys.argv[4]) if len(sys.argv) > 4 else -1
again = (folder / "stopped").exists()


def cpu() -> float:
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def work(number: int) -> dict:
    """The step itself."""
    if again:
        (folder / "resumed").write_text(json.dumps({"at": time.time(), "cpu": cpu(), "step": number}))
        os._exit(0)
    if number == stop:
        (folder / "stopped").touch()
        os._exit(1)
    return {"n": number, "text": TEXT}


class Timed:
    """The time between entering and leaving, wall and CPU."""

    def __enter__(self) -> Timed:
        self.wall, self.cpu = time.perf_counter(), cpu()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall, self.cpu = time.perf_counter() - self.wall, cpu() - self.cpu


def dbos(n: int) -> Timed:
    """One workflow that calls a step n times. It recovers by itself when it is launched."""
    from dbos import DBOS, SetWorkflowID

    url = f"sqlite:///{folder}/peer.sqlite"
    config = {"name": "chain", "system_database_url": url, "log_level": "CRITICAL", "application_version": "1"}
    DBOS(config=config | {"executor_id": "bench", "enable_otlp": False})

    @DBOS.step()
    def step(number: int) -> dict:
        return work(number)

    @DBOS.workflow()
    def chain(count: int) -> int:
        for number in range(count):
            step(number)
        return count

    DBOS.launch()
    if again:
        time.sleep(60)  # recovery runs in another thread, and its first step ends the process
    with SetWorkflowID("chain"), Timed() as timed:
        assert chain(n) == n
    DBOS.destroy()
    return timed


def _langgraph(n: int, build: Callable, first: dict) -> Timed:
    from langgraph.checkpoint.sqlite import SqliteSaver

    with SqliteSaver.from_conn_string(str(folder / "peer.sqlite")) as saver:
        graph = build().compile(checkpointer=saver)
        config = {"configurable": {"thread_id": "chain"}, "recursion_limit": n + 10}
        with Timed() as timed:
            graph.invoke(None if again else first, config, durability="sync")
    return timed


def langgraph_nodes(n: int) -> Timed:
    """n nodes in a row, as our chain is."""
    from typing import TypedDict

    from langgraph.graph import END, START, StateGraph

    class State(TypedDict, total=False):
        out: dict

    def build() -> StateGraph:
        graph = StateGraph(State)
        for number in range(n):
            graph.add_node(f"step-{number}", lambda _state, number=number: {"out": work(number)})
            graph.add_edge(f"step-{number - 1}" if number else START, f"step-{number}")
        graph.add_edge(f"step-{n - 1}", END)
        return graph

    return _langgraph(n, build, {"out": {}})


def langgraph_loop(n: int) -> Timed:
    """One node that goes round n times and keeps its last output only: the form that costs LangGraph least."""
    from typing import TypedDict

    from langgraph.graph import END, START, StateGraph

    class State(TypedDict, total=False):
        number: int
        out: dict

    def step(state: State) -> State:
        return {"out": work(state["number"]), "number": state["number"] + 1}

    def build() -> StateGraph:
        graph = StateGraph(State)
        graph.add_node("step", step)
        graph.add_edge(START, "step")
        graph.add_conditional_edges("step", lambda state: "step" if state["number"] < n else END, ["step", END])
        return graph

    return _langgraph(n, build, {"number": 0})


def burr(n: int) -> Timed:
    """One action that goes round n times and keeps its last output only."""
    from burr.core import ApplicationBuilder, State, action, default
    from burr.core.persistence import SQLitePersister

    @action(reads=["number"], writes=["number", "out"])
    def step(state: State) -> tuple[dict, State]:
        out = work(state["number"])
        return out, state.update(out=out, number=state["number"] + 1)

    @action(reads=[], writes=[])
    def end(state: State) -> tuple[dict, State]:
        return {}, state

    saver = SQLitePersister(str(folder / "peer.sqlite"), "state")
    saver.initialize()
    app = (
        ApplicationBuilder()
        .with_actions(step, end)
        .with_transitions(("step", "step", _below(n)), ("step", "end", default))
        .with_state_persister(saver)
        .initialize_from(saver, resume_at_next_action=True, default_state={"number": 0}, default_entrypoint="step")
        .with_identifiers(app_id="chain")
        .build()
    )
    with Timed() as timed:
        app.run(halt_after=["end"])
    saver.connection.close()
    return timed


def _below(n: int):
    from burr.core import Condition

    return Condition.expr(f"number < {n}")


ENGINES = {
    "dbos": (dbos, "dbos"),
    "langgraph-nodes": (langgraph_nodes, "langgraph"),
    "langgraph-loop": (langgraph_loop, "langgraph"),
    "burr": (burr, "apache-burr"),
}


def main() -> None:
    run, package = ENGINES[sys.argv[1]]
    n = int(sys.argv[2])
    timed = run(n)
    db = sqlite3.connect(folder / "peer.sqlite")
    print(
        json.dumps(
            {
                "step_wall": timed.wall / n * 1000,
                "step_cpu": timed.cpu / n * 1000,
                "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "bytes": sum(path.stat().st_size for path in folder.glob("peer.sqlite*")) / n,
                "journal": db.execute("PRAGMA journal_mode").fetchone()[0],
                "synchronous": db.execute("PRAGMA synchronous").fetchone()[0],
                "version": version(package),
            }
        )
    )


if __name__ == "__main__":
    main()
