"""PaddleX's anomaly_detection pipeline, files to masks: PADDLEX_PYTHON paddlex_runner.py --model FOLDER FILES...

compare.py starts it. The batch is one image: with a larger one PaddleX 3.7's STFPM fails in its own code.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from turns import OverFiles, own_stdout, serve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--run-mode", help="mkldnn, mkldnn_bf16, paddle; else what PaddleX takes by itself")
    parser.add_argument("--threads", type=int, help="else what PaddleX takes by itself")
    parser.add_argument("files", nargs="+")
    arguments = parser.parse_args()
    answers = own_stdout()

    from paddlex import create_pipeline
    from paddlex.inference.pipelines import load_pipeline_config

    config = load_pipeline_config("anomaly_detection")
    config["SubModules"]["AnomalyDetection"]["model_dir"] = arguments.model
    asked = {"run_mode": arguments.run_mode, "cpu_threads": arguments.threads}
    engine = {name: value for name, value in asked.items() if value is not None}
    pipeline = create_pipeline(config=config, device="cpu", engine_config=engine or None)

    def inspect(files: list[str]) -> Iterable[object]:
        return (result["pred"] for result in pipeline.predict(files))

    (result,) = pipeline.predict(arguments.files[:1])
    used = pipeline._pipeline.anomaly_detetion_model.runner._config  # what it took, which it says nowhere else
    first = {
        "setting": f"{used['run_mode']}, {used['cpu_threads']} threads, batches of 1",
        "score": float(result["pred"].mean()),
        "map": list(result["pred"].shape[-2:]),
        "picture": list(result["input_img"].shape[:2]),
    }
    serve(answers, first, ["paddlex", "paddlepaddle"], OverFiles(arguments.files, inspect))


if __name__ == "__main__":
    main()
