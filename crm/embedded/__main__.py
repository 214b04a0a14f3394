"""python -I crm/embedded FOLDER durable|fleeting [PARENT_PID]: the guard, run by path.

Importing the package `crm` would load the whole application, a second and a hundred megabytes; so
the package gets its name here without its own `__init__`.
"""

import sys
import types
from pathlib import Path

package = types.ModuleType("crm")
package.__path__ = [str(Path(__file__).resolve().parents[1])]
sys.modules["crm"] = package

from crm.embedded.guard import main  # noqa: E402 - needs the name above

if __name__ == "__main__":
    sys.exit(
        main(
            Path(sys.argv[1]),
            durable=sys.argv[2] == "durable",
            parent=int(sys.argv[3]) if len(sys.argv) > 3 else None,
        )
    )
