"""A fake agent that keeps its conversations in files below HOME, as real ones do, and says what it remembers.

Its answer to a prompt is the sum of the words that begin with `#` in all prompts of the conversation.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

PROGRAM = r"""
import json, os, pathlib, re, sys, time
deeds, words = json.loads(pathlib.Path(sys.argv[1]).read_text()), sys.argv[2:]
session = words[-1]
file = pathlib.Path(os.environ["HOME"], ".recaller", "talks", "here", session + ".jsonl")
if words[0] == "--resume" and not file.exists():
    sys.exit("no such conversation")
file.parent.mkdir(parents=True, exist_ok=True)
if words[0] == "--interactive":
    print("talking in", os.getcwd(), os.get_terminal_size(), flush=True)
    prompt = input()
    while prompt not in ("bye", "hang"):
        if prompt.startswith("write "):
            pathlib.Path(prompt[6:]).write_text("by hand\n")
        with file.open("a") as log:
            log.write(json.dumps(prompt) + "\n")
        print("heard", prompt, os.get_terminal_size().columns, flush=True)
        prompt = input()
    while prompt == "hang":
        time.sleep(60)
    sys.exit(0)
prompt = sys.stdin.read()
with file.open("a") as log:
    log.write(json.dumps(prompt) + "\n")
def tell(**fields):
    print(json.dumps(fields), flush=True)
tell(type="begin", session=session)
known = " ".join(re.findall(r"#\w+", " ".join(map(json.loads, file.read_text().splitlines()))))
tell(type="text", text="I know " + known)
deed = deeds.get(os.environ["SMITHERS_ATTEMPT"], "")
if deed == "hang":
    pathlib.Path("half.txt").write_text("half\n")
    time.sleep(60)
if deed == "fail":
    sys.exit(3)
tell(type="end", text=json.dumps({"summary": known}))
"""

PROFILE = """\
program = [{python}]
argv = ["-I", "-S", {program}, {deeds}, "{{resume}}", "{{fresh}}"]
prompt = [{{ via = "stdin" }}]
session = {{ scope = "{scope}" }}
{more}
[groups]
resume = ["--resume", "{{session}}"]
fresh = ["--session", "{{new_session}}"]
[state]
folder = ".recaller"
sessions = ["talks/*/{{session}}.jsonl"]
[output]
mode = "jsonl"
answer = {{ where = {{ type = "end" }}, path = "text" }}
session = {{ where = {{ type = "begin" }}, path = "session" }}
[success]
event = {{ type = "end" }}
[[failure]]
kind = "crash"
regex = "no such conversation"
lost_session = true
[[events]]
kind = "text"
where = {{ type = "text" }}
text = ["text"]
"""


def install(repo: Path, deeds: dict[str, str], scope: str = "moves", more: str = "") -> Path:
    """Give `repo` the agent `recaller`; `deeds` say by the number of the attempt whether it is to `hang` or `fail`.

    `more` are further lines of its profile. Returns the file with the deeds.
    """
    program, said = repo.parent / "recaller.py", repo.parent / "deeds.json"
    program.write_text(PROGRAM)
    said.write_text(json.dumps(deeds))
    words = {"python": sys.executable, "program": str(program), "deeds": str(said)}
    text = PROFILE.format(scope=scope, more=more, **{name: json.dumps(word) for name, word in words.items()})
    path = repo / ".smithers" / "agents" / "recaller.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return said


def files(home: Path) -> list[Path]:
    """The files of its conversations."""
    return sorted((home / ".recaller" / "talks").rglob("*.jsonl"))
