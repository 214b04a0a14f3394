#!/bin/sh
# Finds a Python 3.11 or 3.12 and lets it make .venv: sh scripts/set_up.sh local|dev
# PYTHON=/path/to/python chooses one.
set -eu
cd "$(dirname "$0")/.."

# The path of the interpreter itself, if it is one for us. Asked by running it, and from the root
# folder: a shim may be there for a version that is not, or be led astray by our .python-version.
real() {
    case $1 in */*) program=$(cd "$(dirname "$1")" 2>/dev/null && pwd)/$(basename "$1") ;; *) program=$1 ;; esac
    (cd / && "$program" -c '
import sys
if not (3, 11) <= sys.version_info[:2] <= (3, 12):
    sys.exit(1)
print(sys.executable)') 2>/dev/null
}

if [ -n "${PYTHON:-}" ]; then
    candidates=$PYTHON
else
    candidates='.venv/bin/python python3.12 python3.11 python3 python
        /usr/bin/python3.12 /usr/bin/python3.11'
fi
for candidate in $candidates; do
    if python=$(real "$candidate"); then
        exec "$python" scripts/set_up.py "$@"
    fi
done

found=$( (cd / && python3 --version) 2>/dev/null || echo 'no Python 3')
if [ -n "${PYTHON:-}" ]; then
    found=$( ("$PYTHON" --version 2>/dev/null || echo "nothing that runs at $PYTHON") | head -n 2 | tr -d "\n")
fi
echo "Charla needs Python 3.11 or 3.12; here is $found." >&2
echo "Install one (Debian 12: apt install python3 python3-venv) or name one: PYTHON=/path/to/python3.12 make run" >&2
exit 1
