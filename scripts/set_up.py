"""Makes .venv and installs what is asked for: python scripts/set_up.py local|dev

Runs on a bare Python, so it uses the standard library alone. A second run with nothing changed
takes a few milliseconds: what is installed stands in a stamp file.
"""

from __future__ import annotations

import compileall
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
TRANSLATIONS = ROOT / "crm" / "translations"
# A set holds all of those before it.
SETS = {
    "local": ("requirements.txt", "requirements-local.txt"),
    "dev": ("requirements.txt", "requirements-local.txt", "requirements-dev.txt"),
}


def main(wanted: str) -> None:
    # Two at once (make run beside make test) would install over each other.
    with open(ROOT / ".set-up.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_installed(wanted):
            make_venv()
            install(wanted)
        compile_translations()
        compile_code()


def is_installed(wanted: str) -> bool:
    bigger = [name for name in SETS if len(SETS[name]) >= len(SETS[wanted])]
    return any(
        stamp(name).exists() and stamp(name).read_text() == print_of(name) for name in bigger
    )


def stamp(name: str) -> Path:
    return VENV / f".installed-{name}"


def print_of(name: str) -> str:
    """What an installation depends on: the lists, the Python, and where it stands."""
    digest = hashlib.sha256(str(VENV).encode())
    for file in SETS[name]:
        digest.update((ROOT / file).read_bytes())
    version = "{}.{}".format(*sys.version_info[:2])
    return f"{version} {digest.hexdigest()}"


def make_venv() -> None:
    if venv_works():
        return
    base = sys.executable
    if Path(sys.prefix).resolve() == VENV.resolve():
        base = getattr(sys, "_base_executable", sys.executable)
    print(f"Making .venv with Python {sys.version.split()[0]} ...", flush=True)
    shutil.rmtree(VENV, ignore_errors=True)
    if subprocess.run([base, "-m", "venv", str(VENV)], stdout=subprocess.DEVNULL).returncode:
        shutil.rmtree(VENV, ignore_errors=True)
        sys.exit(
            "Python cannot make a virtual environment here; install its venv part "
            f"(Debian, Ubuntu: apt install python3.{sys.version_info[1]}-venv) and try again."
        )


def venv_works() -> bool:
    """A half-made one, or one whose Python was removed, is made anew."""
    command = [str(PYTHON), "-c", "import pip, sys; print('%d.%d' % sys.version_info[:2])"]
    try:
        result = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return False
    return result.returncode == 0 and result.stdout.strip() in ("3.11", "3.12")


def install(wanted: str) -> None:
    print("Installing packages; the first time takes a minute or two ...", flush=True)
    for name in SETS:
        stamp(name).unlink(missing_ok=True)
    command = [str(PYTHON), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    command += ["--no-input", "--requirement", str(ROOT / SETS[wanted][-1])]
    if subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL).returncode:
        sys.exit("The packages could not be installed; the lines above say why.")
    stamp(wanted).write_text(print_of(wanted))


def compile_translations() -> None:
    """The .mo files are built, not kept: two people's catalogs would never merge."""
    for source in TRANSLATIONS.glob("*/LC_MESSAGES/*.po"):
        built = source.with_suffix(".mo")
        if built.exists() and built.stat().st_mtime_ns > source.stat().st_mtime_ns:
            continue
        command = [str(PYTHON), "-m", "babel.messages.frontend", "--quiet", "compile"]
        draft = built.with_name(f"{built.name}.{os.getpid()}")
        command += ["--input-file", str(source), "--output-file", str(draft)]
        command += ["--locale", source.parts[-3]]
        if subprocess.run(command, cwd=ROOT).returncode:
            sys.exit(f"{source.relative_to(ROOT)} could not be compiled; the lines above say why.")
        draft.replace(built)


def compile_code() -> None:
    """Once here instead of in each process that starts: where PYTHONDONTWRITEBYTECODE is set, as in
    most containers, they would keep nothing and spend a third of a second more every time.

    What is up to date is left alone. A folder that cannot be written to is no reason to stop.
    """
    compileall.compile_dir(ROOT / "crm", quiet=2)


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in SETS:
        sys.exit(f"usage: {sys.argv[0]} {'|'.join(SETS)}")
    main(sys.argv[1])
