"""A wrong setting stops the start with one line that says which, why, and an example."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from crm.simulator.config import Settings, SettingsError
from tests.simulator.server import ROOT, simulator_server

RIGHT = {"META_APP_SECRET": "secret", "META_VERIFY_TOKEN": "token"}


def test_it_starts_with_two_lines_of_meta_a_phone_and_metas_secrets() -> None:
    settings = Settings.from_env(RIGHT)
    assert settings.host == "127.0.0.1"
    assert [row["verified_name"] for row in settings.numbers] == [
        "Línea Ventas", "Línea Soporte", "Línea Mostrador",
    ]  # fmt: skip
    of_meta = [row for row in settings.numbers if row.get("provider", "meta") == "meta"]
    assert {row["waba_id"] for row in of_meta} == {"200000000000001"}


def test_of_several_secrets_it_signs_with_the_first() -> None:
    assert Settings.from_env({**RIGHT, "META_APP_SECRET": "new, old"}).app_secret == "new"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("META_APP_SECRET", ""),
        ("META_VERIFY_TOKEN", ""),
        ("SIMULATOR_PORT", "http"),
        ("SIMULATOR_PORT", "70000"),
        ("SIMULATOR_HOST", "0.0.0.0"),
        ("SIMULATOR_HOST", "example.com"),
        ("SIMULATOR_WEBHOOK_URL", "127.0.0.1:8000"),
        ("SIMULATOR_WEBHOOK_URL", "ftp://127.0.0.1/"),
        ("SIMULATOR_DELAY_SCALE", "-1"),
        ("SIMULATOR_RETRY_SECONDS", "0"),
        ("SIMULATOR_LIMITS", "maybe"),
        ("SIMULATOR_NUMBERS", "{"),
        ("SIMULATOR_NUMBERS", "[]"),
    ],
)
def test_a_wrong_setting_names_itself_with_an_example(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as wrong:
        Settings.from_env({**RIGHT, name: value})
    assert name in str(wrong.value)
    assert f"{name}=" in str(wrong.value).partition("Example")[2]
    assert "\n" not in str(wrong.value)


@pytest.mark.parametrize(
    "numbers",
    [
        '[{"id": "x", "display_phone_number": "+57 601 555 0101"}]',
        '[{"id": "1", "display_phone_number": "?"}]',
        '["1"]',
    ],
)
def test_a_wrong_number_says_what_is_wrong(numbers: str) -> None:
    with pytest.raises(SettingsError, match=r"digits|phone number|object"):
        Settings.from_env({**RIGHT, "SIMULATOR_NUMBERS": numbers})


def run(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "crm.simulator"],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_process_ends_with_one_line_for_a_wrong_setting(tmp_path: Path) -> None:
    ended = run({**RIGHT, "SIMULATOR_PORT": "x", "SIMULATOR_DATA_DIR": str(tmp_path)})
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "SIMULATOR_PORT" in ended.stderr


def test_a_taken_port_and_a_taken_folder_are_said_in_words(tmp_path: Path) -> None:
    with simulator_server() as sim:
        port = run({**RIGHT, "SIMULATOR_PORT": str(sim.port), "SIMULATOR_DATA_DIR": str(tmp_path)})
        folder = run({**RIGHT, "SIMULATOR_DATA_DIR": str(sim.data_dir)})
    assert (port.returncode, folder.returncode) == (2, 2)
    assert f"SIMULATOR_PORT={sim.port} is taken" in port.stderr
    assert "another simulator is using this folder" in folder.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_told(number: signal.Signals) -> None:
    with simulator_server() as sim:
        assert sim.process is not None
        sim.process.send_signal(number)
        assert sim.process.wait(timeout=10) == 0
