"""How long the commands that load no engine and `python -c pass` take, interleaved: python benchmarks/startup.py"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

RUNS = 21
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "uadx --help": [sys.executable, "-m", "uadx", "--help"],
    "uadx devices --no-probe": [sys.executable, "-m", "uadx", "devices", "--no-probe"],
    "uadx run --help": [sys.executable, "-m", "uadx", "run", "--help"],
}


def main() -> None:
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(RUNS):
        for name, command in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            times[name].append((time.perf_counter() - start) * 1e3)
    for name, values in times.items():
        print(f"{name:<24} median {statistics.median(values):6.1f} ms   least {min(values):6.1f} ms")


if __name__ == "__main__":
    main()
