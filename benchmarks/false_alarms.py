"""Does the threshold keep its word? False alarms of the shipped bundle: python benchmarks/false_alarms.py"""

from __future__ import annotations

import argparse

import numpy as np

from uadx.demo.product import render_good
from uadx.pipeline import create_pipeline

RATES = (0.01, 0.02, 0.05, 0.1, 0.2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1_000)
    count = parser.parse_args().images
    with create_pipeline() as pipeline:
        # seeds of two numbers: the training and test images of the product are drawn with three
        parts = (render_good(np.random.default_rng([1, index])) for index in range(count))
        scores = np.array([result["score"] for part in parts for result in pipeline.predict(part)])
        calibration = pipeline.inspector.calibration
        print(f"{count} new good parts, calibrated on {len(calibration.scores)}")
        for rate in RATES:
            print(f"asked for {rate:5.1%}: {np.mean(scores > calibration.threshold(rate)):5.1%}")


if __name__ == "__main__":
    main()
