"""The stand-in as a module on sys.path, for tests in a process of their own. ACL_KNOBS: its knobs in JSON.

At the end of the process it says on standard error what was misused or left; CANN must have been finalized by then.
"""

from __future__ import annotations

import atexit
import json
import os
import sys

from fake_acl import FakeAcl, Knobs

_fake = FakeAcl(Knobs(**json.loads(os.environ.get("ACL_KNOBS", "{}"))))
rt, mdl = _fake.rt, _fake.mdl
init, finalize = _fake.init, _fake.finalize
get_soc_name, get_recent_err_msg = _fake.get_soc_name, _fake.get_recent_err_msg
create_data_buffer, destroy_data_buffer = _fake.create_data_buffer, _fake.destroy_data_buffer


@atexit.register  # runs after what was registered later, so after finalize
def _say_what_is_left() -> None:
    try:
        _fake.require_clean()
        if _fake.core.owned and _fake.core.initialised:
            raise AssertionError("acl.finalize was not called")
    except AssertionError as error:
        print(f"acl: {error}", file=sys.stderr)
    else:
        print("acl: clean", file=sys.stderr)
