"""What every process of the product takes along when it starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Each is wanted by one kind of work, and is imported where that is done: files are looked at in a
# process of their own, the demo is loaded once, S3 is an extra.
NOT_AT_THE_START = {
    "PIL", "av", "boto3", "numpy", "pypdfium2", "pytest",
    "crm.embedded", "crm.services.demo", "crm.simulator",
}  # fmt: skip
START = """
import gc, json, sys
import wsgi
from crm.jobs.worker import import_jobs
import_jobs()
left = sum(1 for thing in gc.get_objects() if type(thing).__name__ == "Rule")
print(json.dumps({"modules": list(sys.modules), "collects": gc.isenabled(), "left": left}))
"""


def test_a_start_loads_nothing_that_most_processes_never_use(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", START],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert not NOT_AT_THE_START.intersection(told["modules"])
    assert told["collects"], "the collector rests while the application is loaded, not for ever"
    assert not told["left"], "what was loaded is looked through at each collection"
