"""The guard, run by path: python -I crm/embedded FOLDER durable|fleeting [PARENT_PID]"""

import sys
from pathlib import Path

# -I keeps PYTHONPATH and the folder it is called from out; only the checkout comes back.
sys.path.append(str(Path(__file__).resolve().parents[2]))

from crm.embedded.guard import main

if __name__ == "__main__":
    sys.exit(
        main(
            Path(sys.argv[1]),
            durable=sys.argv[2] == "durable",
            parent=int(sys.argv[3]) if len(sys.argv) > 3 else None,
        )
    )
