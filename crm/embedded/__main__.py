"""python -I crm/embedded FOLDER durable|fleeting [PARENT_PID]: the guard, run by path."""

import sys
from pathlib import Path

# -I keeps surroundings out (PYTHONPATH, the folder it is called from); only the checkout comes back.
sys.path.append(str(Path(__file__).resolve().parents[2]))

from crm.embedded.guard import main  # noqa: E402 - needs the path above

if __name__ == "__main__":
    sys.exit(
        main(
            Path(sys.argv[1]),
            durable=sys.argv[2] == "durable",
            parent=int(sys.argv[3]) if len(sys.argv) > 3 else None,
        )
    )
