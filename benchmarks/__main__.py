"""python -m benchmarks [NAME [options]]: one benchmark, or all of them in turn."""

from __future__ import annotations

import subprocess
import sys

ALL = ("webhooks", "sockets", "ring", "routing", "places", "delivery", "ledger", "search")


def main(arguments: list[str]) -> int:
    if arguments and arguments[0] not in ALL:
        sys.exit(f"no benchmark is called {arguments[0]!r}; there are: {', '.join(ALL)}")
    chosen, options = (arguments[:1], arguments[1:]) if arguments else (ALL, [])
    worst = 0
    for name in chosen:
        print(f"\n== {name}", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}", *options]
        worst = max(worst, subprocess.run(command).returncode)
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
