"""Drives the scenarios with the Python SDK: driver.py BRIEF."""
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from steps import Scenario

with open(sys.argv[1]) as file:
    brief = json.load(file)
output = threading.Lock()


def say(line):
    with output:
        print(json.dumps(line), flush=True)


def restart():
    say({"restart": True})
    sys.stdin.readline()


def judge(scenario):
    done = []
    try:
        with Scenario(brief, restart) as steps:
            for step in scenario["steps"]:
                steps.run(step)
                done.append(step["do"])
        why = None
    except Exception as fault:
        why = f"{', '.join(done)}, then: {type(fault).__name__}: {fault}"
    say({"name": scenario["name"], "why": why})


# Most of a scenario is waiting.
with ThreadPoolExecutor(16) as pool:
    list(pool.map(judge, brief["sideBySide"]))
for each in brief["alone"]:
    judge(each)
