"""A training program that does what plan.json beside it says: it trains nothing, and keeps in its checkpoint all that it has done.

{"step_s": seconds of a step, "accuracy": [of each attempt], "starts": [what goes wrong in each start: "", "memory", or an exit code]}
"""

import json
import os
import sys
import time
from pathlib import Path

plan = {"step_s": 0.0, "accuracy": [0.9], "starts": []} | json.loads(Path(__file__).with_name("plan.json").read_text())
checkpoint = Path(os.environ["CHECKPOINTS"], "state.json")
state = json.loads(checkpoint.read_text()) if checkpoint.exists() else {"starts": 0, "step": 0}


def save() -> None:
    aside = checkpoint.with_suffix(".aside")
    aside.write_text(json.dumps(state))
    os.replace(aside, checkpoint)


def fail(how: str) -> None:
    if how == "memory":
        held = []
        while True:
            held.append(bytearray(os.urandom(1 << 20)) * 16)
    sys.exit(int(how))


def train() -> None:
    attempt, steps = int(os.environ["ATTEMPT"]), int(os.environ["STEPS"])
    state["starts"] += 1
    save()
    if state["starts"] <= len(plan["starts"]) and plan["starts"][state["starts"] - 1]:
        fail(plan["starts"][state["starts"] - 1])
    while state["step"] < attempt * steps:
        time.sleep(plan["step_s"])
        state["step"] += 1
        save()
    rows = json.loads(Path(os.environ["PREPARED"], "schema.json").read_text())["eval"]["rows"]
    accuracy = plan["accuracy"][min(attempt, len(plan["accuracy"])) - 1]
    Path(os.environ["RESULT"]).write_text(json.dumps({"accuracy": accuracy, "examples": rows, "step": state["step"]}))


def export() -> None:
    Path(os.environ["EXPORT"], "saved_model.pb").write_bytes(b"no model, but a signature of the name serving_default")


{"train": train, "export": export}[sys.argv[1]]()
