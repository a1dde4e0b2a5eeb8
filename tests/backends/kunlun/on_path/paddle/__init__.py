"""What `import paddle` finds first: the stand-in, over the real Paddle that is found next."""

import atexit
import json
import os
import sys
from pathlib import Path

sys.path.remove(str(Path(__file__).parents[1]))
del sys.modules["paddle"]

from fake_xpu import FakePaddle  # noqa: E402

import paddle  # noqa: E402  (the real one)

fake = FakePaddle(paddle, **json.loads(os.environ.get("XPU_KNOBS", "{}")))
sys.modules["paddle"] = fake


def report():
    fake.require_clean()
    print("xpu: clean", file=sys.stderr)


atexit.register(report)
