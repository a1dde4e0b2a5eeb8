"""`uadx serve` under load, beside `uadx run` on the same images: python benchmarks/serve_load.py

Three questions, one server each, on the demo product or on --input:

closed loop  16 clients, each of which asks again as soon as it has its answer, and `uadx run`, in turn, round by round:
             what share of its rate is left over HTTP? The clients are a process of their own, on the same cores.
open loop    twice as many requests a second as that: how long do those wait that are accepted, how many are refused?
the end      SIGTERM in the middle of the closed loop: has every request that the server took its answer?
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from serve_clients import closed_loop, open_loop

from uadx.demo.dataset import write_product

CLIENTS = 16


class Server:
    """A `uadx serve` in a process of its own, and its log."""

    def __init__(self, options: list[str], log: Path) -> None:
        self._log = log
        command = [sys.executable, "-m", "uadx", "serve", "--port", "0", "--log-format", "json", *options]
        with open(log, "w") as file:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if "http://" not in line:
            sys.exit(f"the server did not start:\n{log.read_text()}")
        self.url = line.split()[-1]

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait()

    def taken(self) -> dict[str, int]:
        """The status of each request that it took, by id."""
        lines = [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")]
        return {line["request_id"]: line["status"] for line in lines if line["event"] == "request"}


def run_rate(options: list[str], pictures: list[Path], count: int, folder: Path) -> float:
    """Images a second of `uadx run` on so many of the pictures."""
    links = folder / "links"
    links.mkdir()
    for number, picture in zip(range(count), itertools.cycle(pictures)):
        os.symlink(picture, links / f"{number:06d}{picture.suffix}")
    command = [sys.executable, "-m", "uadx", "run", "-i", str(links), "-o", str(folder / "out"), "--format", "jsonl"]
    done = subprocess.run([*command, *options], capture_output=True, text=True)
    found = re.search(r"([\d.]+) img/s", done.stdout)
    if found is None:
        sys.exit(done.stdout + done.stderr)
    return float(found[1])


def served_rate(url: str, images: list[bytes], seconds: float) -> float:
    """Answered images a second, from the first request to the last answer."""
    began = time.perf_counter()
    answers = asyncio.run(closed_loop(url, images, CLIENTS, seconds))
    took = time.perf_counter() - began
    wrong = Counter(answer.status for answer in answers if answer.status != 200)
    if wrong:
        sys.exit(f"a closed loop of {CLIENTS} was not answered throughout: {dict(wrong)}")
    return len(answers) / took


def in_turn(options: list[str], pictures: list[Path], seconds: float, rounds: int) -> dict[str, Any]:
    """The closed loop and `uadx run`, round by round."""
    images = [picture.read_bytes() for picture in pictures]
    served, run = [], []
    with tempfile.TemporaryDirectory() as folder:
        server = Server(options, Path(folder) / "log")
        asyncio.run(closed_loop(server.url, images, CLIENTS, min(1.0, seconds)))  # warm
        for number in range(rounds):
            served.append(served_rate(server.url, images, seconds))
            room = Path(folder) / str(number)
            room.mkdir()
            run.append(run_rate(options, pictures, max(32, int(served[-1] * seconds)), room))
        server.stop()
    shares = [one / other for one, other in zip(served, run, strict=True)]
    return {"served": served, "run": run, "share": statistics.median(shares), "shares": shares}


def too_many(options: list[str], pictures: list[Path], seconds: float, rate: float) -> dict[str, Any]:
    """The open loop."""
    images = [picture.read_bytes() for picture in pictures]
    with tempfile.TemporaryDirectory() as folder:
        server = Server(options, Path(folder) / "log")
        asyncio.run(closed_loop(server.url, images, CLIENTS, min(1.0, seconds)))
        answers = asyncio.run(open_loop(server.url, images, rate, seconds))
        server.stop()
    counted = Counter(answer.status for answer in answers)
    accepted = [answer.seconds for answer in answers if answer.status == 200]
    p50, p99 = np.percentile(accepted, [50, 99]) if accepted else (float("nan"),) * 2
    return {
        "asked": len(answers),
        "rate": rate,
        "accepted": counted.pop(200, 0),
        "refused": counted.pop(503, 0),
        "else": sum(counted.values()),
        "p50": p50,
        "p99": p99,
    }


def ended(options: list[str], pictures: list[Path], seconds: float) -> dict[str, Any]:
    """The end in the middle of the closed loop."""
    images = [picture.read_bytes() for picture in pictures]
    with tempfile.TemporaryDirectory() as folder:
        server = Server(options, Path(folder) / "log")
        ending = threading.Timer(min(2.0, seconds), server.process.send_signal, [signal.SIGTERM])
        ending.start()
        answers = asyncio.run(closed_loop(server.url, images, CLIENTS, 600))
        code = server.process.wait()
        taken = server.taken()
    answered = {answer.name for answer in answers if answer.status is not None}
    return {
        "taken": len(taken),
        "answered": len(answered & taken.keys()),
        "lost": len(taken.keys() - answered),
        "statuses": dict(Counter(taken.values())),
        "exit_code": code,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, help="a folder of images; default: the demo product's, PNG of 300 x 300")
    parser.add_argument("--model", default="default")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, help="a JSON file for all of it")
    asked = parser.parse_args()
    options = ["--model", asked.model, "--device", asked.device]
    with tempfile.TemporaryDirectory() as folder:
        if asked.input is None:
            write_product(Path(folder) / "mesh", train_good=0, test_good=16, test_per_kind=4)
        root = asked.input or Path(folder) / "mesh" / "test"
        pictures = sorted(path for path in root.rglob("*.*") if path.is_file())
        closed = in_turn(options, pictures, asked.seconds, asked.rounds)
        print(f"closed loop, {CLIENTS} clients, and uadx run, {asked.rounds} rounds of {asked.seconds:g} s in turn")
        print(f"  served  {statistics.median(closed['served']):8.1f} img/s   {rounded(closed['served'])}")
        print(f"  run     {statistics.median(closed['run']):8.1f} img/s   {rounded(closed['run'])}")
        print(f"  share   {closed['share']:8.2f}         {rounded(closed['shares'], 2)}")
        opened = too_many(options, pictures, 2 * asked.seconds, 2 * statistics.median(closed["served"]))
        print(f"open loop, {opened['rate']:.0f} requests a second for {2 * asked.seconds:g} s")
        print(f"  accepted {opened['accepted']}: p50 {opened['p50']:.2f} s, p99 {opened['p99']:.2f} s")
        print(f"  refused  {opened['refused']} ({opened['refused'] / opened['asked']:.0%}), neither {opened['else']}")
        end = ended(options, pictures, asked.seconds)
        print("SIGTERM in the middle of the closed loop")
        print(f"  taken {end['taken']}, answered {end['answered']}, lost {end['lost']}, exit code {end['exit_code']}")
    if asked.output:
        figures = {"clients": CLIENTS, "closed": closed, "open": opened, "end": end, "cores": os.cpu_count()}
        asked.output.write_text(json.dumps(figures, indent=2) + "\n")


def rounded(values: list[float], digits: int = 1) -> str:
    """The rounds behind a median."""
    return " ".join(f"{value:.{digits}f}" for value in values)


if __name__ == "__main__":
    main()
