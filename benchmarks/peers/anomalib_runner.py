"""anomalib's OpenVINO inferencer, files to maps: ANOMALIB_PYTHON anomalib_runner.py --model MODEL.xml FILES...

compare.py starts it. The inferencer takes one file at a time and waits for it; it has no batch of files.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable
from typing import Any

from turns import OverFiles, own_stdout, serve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--precision", help="f32, bf16; else what OpenVINO takes by itself")
    parser.add_argument("files", nargs="+")
    arguments = parser.parse_args()
    answers = own_stdout()

    from anomalib.deploy import OpenVINOInferencer

    config = {"INFERENCE_PRECISION_HINT": arguments.precision} if arguments.precision else None
    inferencer = OpenVINOInferencer(arguments.model, config=config)

    def inspect(files: list[str]) -> Iterable[object]:
        return (inferencer.predict(file).anomaly_map for file in files)

    result = inferencer.predict(arguments.files[0])
    first = {
        "setting": f"convolutions in {_precisions(inferencer.model)}, batches of 1",
        "score": float(result.pred_score.item()),
        "map": list(result.anomaly_map.shape[-2:]),
        "picture": list(result.image.shape[1:3]),
    }
    serve(answers, first, ["anomalib", "openvino", "torch"], OverFiles(arguments.files, inspect))


def _precisions(compiled: Any) -> str:
    """What the convolutions run in, most of them first, as the compiled model says it of each."""
    operations = [operation.get_rt_info() for operation in compiled.get_runtime_model().get_ops()]
    found = Counter(
        str(info["runtimePrecision"].value) for info in operations if info["layerType"].value == "Convolution"
    )
    return " and ".join(name for name, _ in found.most_common())


if __name__ == "__main__":
    main()
