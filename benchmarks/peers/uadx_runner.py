"""uadx's pipeline, files to maps: UADX_PYTHON uadx_runner.py --model BUNDLE --precision f32 FILES...

compare.py starts it. With --engine it measures the compiled model alone, fed with arrays, as `uadx bench` does.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from turns import OverFiles, Turn, own_stdout, serve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--precision", required=True)
    parser.add_argument("--engine", action="store_true")
    parser.add_argument("files", nargs="+")
    arguments = parser.parse_args()
    answers = own_stdout()

    from uadx import create_pipeline

    pipeline = create_pipeline(model=arguments.model, device="cpu", precision=arguments.precision)

    def inspect(files: list[str]) -> Iterable[object]:
        # The map is made when it is asked for, at the picture's own size; the peers' results always hold one.
        return (result.anomaly_map for result in pipeline.predict(files))

    def engine(seconds: float) -> Turn:
        from uadx.bench.engine import throughput

        timed = throughput(pipeline.inspector.opened, pipeline.bundle.golden.images[:1], seconds)
        return Turn(timed.images, timed.seconds, timed.core_seconds)

    (result,) = pipeline.predict(arguments.files[:1])
    opened = pipeline.inspector.opened
    first = {
        "setting": f"{opened.label}, {opened.async_depth} requests, batches of {pipeline.inspector.batch_size}",
        "score": result["score"],
        "map": list(result.anomaly_map.shape),
        "picture": result["image_size"],
    }
    turn = engine if arguments.engine else OverFiles(arguments.files, inspect)
    serve(answers, first, ["uadx", "openvino"], turn)


if __name__ == "__main__":
    main()
