"""Finds a Chromium for the browser tests, or installs Debian's; prints nothing when all is well.

CHROMIUM=/path/to/chromium names one. Playwright's own download is not relied on: many networks do
not let it through.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
MAC = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
PACKAGES = ("chromium", "fonts-noto-color-emoji", "fonts-liberation")


def find() -> str | None:
    """The path of a browser that runs, or None."""
    named = os.environ.get("CHROMIUM")
    candidates = [named] if named else [*map(shutil.which, NAMES), MAC, playwrights_own()]
    return next((path for path in candidates if path and runs(path)), None)


def playwrights_own() -> str | None:
    for folder in ("~/.cache/ms-playwright", "~/Library/Caches/ms-playwright"):
        for found in sorted(Path(folder).expanduser().glob("chromium-*/chrome-*/chrome")):
            return str(found)
    return None


def runs(path: str) -> bool:
    """Ubuntu's package is a door to a snap, which is there and does not run in a container."""
    try:
        result = subprocess.run([path, "--version"], capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return result.returncode == 0


def install() -> None:
    """Debian's packages, where we are root and apt is there."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return
    print("Installing Chromium for the browser tests ...", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES],
    ):
        subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )


def main() -> None:
    if find():
        return
    install()
    if not find():
        sys.exit(
            "The browser tests need Chromium, and none was found that runs. Install one "
            "(Debian: apt install chromium; elsewhere Chrome or Chromium) or name it with "
            "CHROMIUM=/path/to/it. Without it: .venv/bin/python -m pytest -m 'not browser'"
        )


if __name__ == "__main__":
    main()
