"""A fresh interpreter that imports what this one would: for checks of what an import or a listing leaves behind."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from uadx.child import python


class Hanging(Exception):  # noqa: N818
    """The interpreter had not ended in time."""


def run_fresh(code: str, *arguments: object, timeout: float) -> tuple[Any, str]:
    """Run code that finds its arguments in `arguments`; the JSON value of its last printed line, and its stderr.

    Raises Hanging, and AssertionError with its stderr where it failed.
    """
    command = python(f"import json; arguments = json.loads(sys.argv[1])\n{code}", json.dumps(arguments))
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=timeout, check=False)
    except subprocess.TimeoutExpired as error:
        raise Hanging(f"a fresh Python had not ended after {timeout:g} s") from error
    if done.returncode != 0:
        raise AssertionError(f"a fresh Python ended with {done.returncode}:\n{done.stderr.strip()}")
    return json.loads(done.stdout.splitlines()[-1]), done.stderr
