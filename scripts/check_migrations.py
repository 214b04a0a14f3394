"""Brings an empty database up by the migrations and asks Alembic whether the models agree."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from cryptography.fernet import Fernet

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from crm import embedded  # noqa: E402 - needs the path above


def main() -> int:
    with (
        tempfile.TemporaryDirectory(
            prefix="charla-migrations-", ignore_cleanup_errors=True
        ) as folder,
        embedded.servers(Path(folder) / "servers", durable=False) as urls,
    ):
        environment = {
            **os.environ,
            "DATABASE_URL": urls.database_url,
            "REDIS_URL": urls.redis_url,
            "SECRET_KEY": "only-for-this-check-of-the-migrations",
            "CRM_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        }
        for step in (["upgrade"], ["check"]):
            command = [sys.executable, "-m", "flask", "--app", "wsgi", "db", *step]
            result = subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, text=True
            )
            if result.returncode:
                print(result.stdout, result.stderr, f"flask db {' '.join(step)} failed", sep="\n")
                return 1
    print("Migrations: up from nothing, agreeing with the models.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
