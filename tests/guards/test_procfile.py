"""Procfile, app.json, queues, jobs and code agree; a wrong name is found here."""

from __future__ import annotations

import importlib
import json
import re
import shlex
from pathlib import Path

from flask import Flask

from crm import doorbell
from crm.jobs.schedule import PERIODIC, SWEEPS
from crm.local.settings import LocalSettings
from crm.local.stack import processes

ROOT = Path(__file__).parents[2]


def procfile() -> dict[str, list[str]]:
    lines = (ROOT / "Procfile").read_text().splitlines()
    return {name: shlex.split(command) for name, command in (line.split(":", 1) for line in lines)}


def test_the_procfile_names_what_the_product_needs() -> None:
    assert set(procfile()) == {"web", "worker", "clock", "release"}


def test_every_flask_command_of_the_procfile_exists(migrated_app: Flask) -> None:
    for name, words in procfile().items():
        if words[0] != "flask":
            continue
        assert words[1:3] == ["--app", "wsgi"], name
        command: object = migrated_app.cli
        for word in words[3:]:
            commands = getattr(command, "commands", {})
            assert word in commands, f"{name}: flask has no command {' '.join(words[3:])}"
            command = commands[word]


def test_make_run_starts_the_commands_of_the_procfile() -> None:
    settings = LocalSettings(Path("/tmp"), 8000, 8001, {}, {}, owns_servers=True)
    local = {child.name: list(child.command)[2:] for child in processes(settings)}
    assert local.pop("simulator") == ["crm.simulator"]
    assert local == {name: words for name, words in procfile().items() if name != "release"}


def test_app_json_runs_what_the_procfile_has() -> None:
    app = json.loads((ROOT / "app.json").read_text())
    assert set(app["formation"]) == set(procfile()) - {"release"}
    plans = " ".join(addon["plan"] for addon in app["addons"])
    assert "postgresql" in plans
    assert "redis" in plans


def test_app_json_describes_settings_that_are_read() -> None:
    app = json.loads((ROOT / "app.json").read_text())
    code = (ROOT / "crm/config.py").read_text() + (ROOT / "gunicorn.conf.py").read_text()
    for name, setting in app["env"].items():
        assert f'"{name}"' in code or f"'{name}'" in code, f"nobody reads {name}"
        assert setting["description"]


def test_every_job_is_there_under_its_name_and_on_a_queue_that_has_a_worker() -> None:
    for name, spec in doorbell.JOBS.items():
        module, function = name.split(".")
        job = getattr(importlib.import_module(f"crm.jobs.{module}"), function)
        assert job.job_name == name
        assert spec.queue in doorbell.QUEUES


def test_every_job_function_is_listed() -> None:
    """The other way round: a function marked as a job that the table does not know."""
    for path in (ROOT / "crm/jobs").glob("*.py"):
        for name in re.findall(r'^@job\("([^"]+)"\)', path.read_text(), re.MULTILINE):
            assert name in doorbell.JOBS
            assert name.split(".")[0] == path.stem


def test_the_clock_rings_jobs_that_exist() -> None:
    for sweep in SWEEPS:
        assert sweep.job in doorbell.JOBS
    for periodic in PERIODIC:
        assert periodic.job in doorbell.JOBS
        assert periodic.every >= 60


def test_every_call_in_the_code_rings_a_job_that_exists() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} rings {name}"
        for path in (ROOT / "crm").rglob("*.py")
        for name in re.findall(r'\bring(?:_on_commit|_again)?\(\s*"([^"]+)"', path.read_text())
        if name not in doorbell.JOBS
    ]
    assert wrong == []
