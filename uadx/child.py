"""Another Python that imports what this one would, and nothing that lies in the current directory.

`python -m` and `python -c` look there first: a json.py among somebody's pictures would be run.
"""

from __future__ import annotations

import sys

_SAME_PATH = "import sys; sys.path[:] = sys.argv.pop(1).split('\\n'); "  # sys is built in: no file is read for it
UADX = "from uadx.cli import main; main()"
"""The command line of uadx as code for `python`."""


def python(code: str, *arguments: str) -> list[str]:
    """The command that runs code, which finds the arguments in sys.argv from 1 on."""
    return [sys.executable, "-c", _SAME_PATH + code, "\n".join(sys.path), *arguments]
