"""A chain of steps as a local run records them, each an entry of the ledger: `python own.py STEPS`.

The steps' own work is left out; the settings, the declaration, the progress and the ledger are the product's.
"""

import json
import os
import sys
from pathlib import Path

import yaml

from loopwright.ledger import Ledger
from loopwright.loop import Loop
from loopwright.settings import prepare, read
from loopwright.steps import recording

TEXT = """
apiVersion: loopwright/v1
kind: Loop
metadata: {name: chain}
data: {source: rows.csv, label: {column: y}, contract: {x: {type: number}}}
model: {task: classification}
"""
os.environ[recording.PROGRESS] = "progress.jsonl"
loop, value, cause = Loop.model_validate(yaml.safe_load(TEXT)).to_json(), 0, 0
settings = prepare(read(Path.cwd()))
names = list(recording.KINDS)
for number in range(int(sys.argv[1])):
    with recording.step(names[number % len(names)], loop, f"run-{os.getpid()}", cause) as step:
        value += 1
        step.facts = {"value": value}
    cause = step.number
mine = f"run-{os.getpid()}"
entries = [entry for entry in Ledger(settings.ledger_url).entries("chain") if entry.facts["run"] == mine]
if [entry.facts["value"] for entry in entries] != list(range(1, int(sys.argv[1]) + 1)):
    sys.exit(f"found {json.dumps([dict(entry.facts) for entry in entries])}")
