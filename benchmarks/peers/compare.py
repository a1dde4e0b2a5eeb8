"""uadx beside PaddleX and anomalib, each in its own environment, in turns over the same files:

python benchmarks/peers/compare.py --uadx PYTHON --paddlex PYTHON --anomalib PYTHON --model BUNDLE

Makes the pictures (copies of the bundle's first golden one, JPEG of 300 x 300) and the peers' models, starts every
variant in a process that stays, lets them take turns round by round, and prints Markdown tables: rates with ratios,
start-up, and what each environment takes. What the runners say beside their answers goes to standard error.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tables import environments, ratios, variants

HERE = Path(__file__).resolve().parent
COPIES = 64
SIDE = 300
WARM = 1.0
PAUSE = 0.5
"""Seconds between turns, for what threads spin on after the last one."""

SITE_PACKAGES = "import sysconfig; print(sysconfig.get_path('platlib'))"
CORES = "import os; print(len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count())"


@dataclass
class Variant:
    """One way to run one of the three. command: of its runner, less the files. whole: from files to maps; else the
    engine alone, whose start is no other."""

    name: str
    command: Sequence[str]
    whole: bool = True
    first: dict[str, Any] = field(default_factory=dict)
    starts: list[float] = field(default_factory=list)
    turns: list[dict[str, Any]] = field(default_factory=list)


class Runner:
    """A runner's process. start: seconds from the start of the process to its first result."""

    def __init__(self, variant: Variant, files: Sequence[str], folder: Path) -> None:
        self.name = variant.name
        folder.mkdir(exist_ok=True)  # of its own: anomalib keeps a cache of compiled models where it runs
        began = time.perf_counter()
        self._process = subprocess.Popen(
            [*variant.command, *files], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            self.first = self._answer()
        except BaseException:
            self.close()
            raise
        self.start = time.perf_counter() - began

    def turn(self, seconds: float) -> dict[str, Any]:
        """A turn (turns.Turn) and the memory held so far."""
        assert self._process.stdin is not None
        print(seconds, file=self._process.stdin, flush=True)
        return self._answer()

    def close(self) -> None:
        """End the process and wait for it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name}: its runner ended; what it said stands above")
        answer: dict[str, Any] = json.loads(line)
        return answer


def measured(arguments: argparse.Namespace, folder: Path) -> list[Variant]:
    """Every variant with its starts and turns. folder: for pictures, models and caches."""
    files = pictures(arguments.model, folder / "pictures")
    models = folder / "models"
    found = [
        *uadx(arguments.uadx, arguments.model),
        *paddlex(arguments.paddlex, models / "paddlex"),
        *anomalib(arguments.anomalib, models / "anomalib", files),
    ]
    found = [variant for variant in found if not any(word in variant.name for word in arguments.skip)]
    for _ in range(arguments.starts):
        for number, variant in enumerate(found):
            if not variant.whole:
                continue
            runner = Runner(variant, files, folder / str(number))
            runner.close()
            variant.starts.append(runner.start)
            say(f"{variant.name}: first result after {runner.start:.2f} s")
    with ExitStack() as running:
        runners = []
        for number, variant in enumerate(found):
            runner = Runner(variant, files, folder / str(number))
            running.callback(runner.close)
            variant.first = checked(variant.name, runner.first)
            runners.append(runner)
        for runner in runners:
            runner.turn(WARM)  # not counted; and what rate to expect
        for number in range(arguments.rounds):
            for variant, runner in zip(found, runners, strict=True):
                time.sleep(PAUSE)
                turn = runner.turn(arguments.seconds)
                variant.turns.append(turn)
                say(f"round {number + 1}, {variant.name}: {turn['images'] / turn['seconds']:.1f} img/s")
    return found


def pictures(model: str, folder: Path) -> list[str]:
    """JPEG files of the bundle's first golden image, which is a good part's, as `uadx bench` makes them."""
    import cv2

    from uadx.bundle.reader import default_path, open_bundle

    golden = open_bundle(default_path() if model == "default" else Path(model)).golden.images[0]
    folder.mkdir()
    files = [folder / f"{number:02}.jpg" for number in range(COPIES)]
    for file in files:
        cv2.imwrite(str(file), cv2.resize(cv2.cvtColor(golden, cv2.COLOR_RGB2BGR), (SIDE, SIDE)))
    return [str(file) for file in files]


def uadx(python: str, model: str) -> list[Variant]:
    """Whole pipelines, and the engine alone in the lowest and highest precision."""
    command = [python, str(HERE / "uadx_runner.py"), "--model", model, "--precision"]
    return [
        *(Variant(f"uadx {precision}", [*command, precision]) for precision in ("f32", "bf16", "int8")),
        *(
            Variant(f"uadx {precision}, engine alone", [*command, precision, "--engine"], whole=False)
            for precision in ("f32", "int8")
        ),
    ]


def paddlex(python: str, model: Path) -> list[Variant]:
    """As it comes (oneDNN, ten threads on any machine), and with a thread for each core in f32 and bf16."""
    say("making PaddleX's model")
    make([python, str(HERE / "paddlex_model.py"), "--output", str(model)])
    cores = subprocess.run([python, "-c", CORES], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    command = [python, str(HERE / "paddlex_runner.py"), "--model", str(model)]
    tuned = [*command, "--threads", cores, "--run-mode"]
    return [
        Variant("PaddleX, as it comes", command),
        Variant("PaddleX f32, a thread a core", [*tuned, "mkldnn"]),
        Variant("PaddleX bf16, a thread a core", [*tuned, "mkldnn_bf16"]),
    ]


def anomalib(python: str, models: Path, files: Sequence[str]) -> list[Variant]:
    """As it comes, in f32, and its own INT8_PTQ export."""
    say("making anomalib's models")
    make([python, str(HERE / "anomalib_model.py"), "--output", str(models), *files])
    command = [python, str(HERE / "anomalib_runner.py"), "--model"]
    plain, int8 = (str(models / precision / "weights" / "openvino" / "model.xml") for precision in ("f32", "int8"))
    return [
        Variant("anomalib, as it comes", [*command, plain]),
        Variant("anomalib f32", [*command, plain, "--precision", "f32"]),
        Variant("anomalib int8", [*command, int8]),
    ]


def make(command: Sequence[str]) -> None:
    """Run to its end, all that it says to standard error."""
    subprocess.run(command, check=True, stdout=sys.stderr)


def checked(name: str, first: dict[str, Any]) -> dict[str, Any]:
    """The first result, if it is of the picture that it was given and says something."""
    if first["picture"] != [SIDE, SIDE] or min(first["map"]) < 2 or first["score"] != first["score"]:
        raise SystemExit(f"{name} did not inspect the picture: {first}")
    return first


def sizes(pythons: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """Bytes and number of packages of each environment's site-packages."""
    found = {}
    for name, python in pythons.items():
        answer = subprocess.run([python, "-c", SITE_PACKAGES], check=True, stdout=subprocess.PIPE, text=True)
        folder = Path(answer.stdout.strip())
        files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
        found[name] = {
            "bytes": sum(path.stat().st_size for path in files),
            "packages": len(list(folder.glob("*.dist-info"))),
        }
    return found


def interpreter(name: str) -> str:
    """Its absolute path, but not what a link there leads to: that would be outside the environment."""
    found = shutil.which(name)
    if found is None:
        raise argparse.ArgumentTypeError(f"{name} cannot be run")
    return os.path.abspath(found)


def say(what: str) -> None:
    """Progress, on standard error."""
    print(what, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--uadx",
        type=interpreter,
        default=sys.executable,
        help="Python of an environment with uadx (default: this one)",
    )
    parser.add_argument(
        "--paddlex", type=interpreter, required=True, help="Python of an environment with PaddleX and Paddle"
    )
    parser.add_argument(
        "--anomalib", type=interpreter, required=True, help="Python of an environment with anomalib[openvino]"
    )
    parser.add_argument("--model", required=True, help="a uadx bundle with an int8 form")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each turn, about")
    parser.add_argument("--starts", type=int, default=3, help="processes to time from their start to a first result")
    parser.add_argument("--skip", action="append", default=[], help="variants with this in their name, such as bf16")
    parser.add_argument("--json", type=Path, help="write all that was measured there")
    arguments = parser.parse_args()
    if arguments.model != "default":
        arguments.model = str(Path(arguments.model).resolve())
    with tempfile.TemporaryDirectory(prefix="uadx-peers-") as folder:
        found = measured(arguments, Path(folder))
    installed = sizes({"uadx": arguments.uadx, "PaddleX": arguments.paddlex, "anomalib": arguments.anomalib})
    figures = {variant.name: vars(variant) for variant in found}
    if arguments.json:
        arguments.json.write_text(json.dumps({"variants": figures, "installed": installed}, indent=1))
    print(variants(figures), ratios(figures), environments(figures, installed), sep="\n\n")


if __name__ == "__main__":
    main()
