"""Teach a ResNet-18 to see, from 1,000 photographs, drawn textures and the features of an ImageNet MobileNetV2.

The pupil repeats the MobileNet's features, each channel standardised, at strides 4 to 32.

    python benchmarks/teacher/teach.py --data ../shared/data --output teacher.safetensors

No download; a CPU does. A run that was killed goes on where it was when it is started again. docs/teacher.md says
what came of it.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from pictures import crops, drawn, photographs
from safetensors.numpy import load_file
from safetensors.torch import save_file
from source import CHANNELS, Source
from torch import Tensor, nn

from uadx.stfpm.network import BasicBlock, Trunk, normalise_pixels
from uadx.stfpm.weights import Block, Conv

BATCH = 64
WARM_UP, DECAY = 0.02, 0.02
AVERAGE = 0.999
DRAWN = 400
MEASURED = 16
"""Batches from which the mean and deviation of each of the source's channels are taken."""
HEADS_FIRST = 0.05
"""Share of the steps in which a pupil that was given weights keeps them, but for its batch norms' statistics: its heads
are still random."""
EVERY = 300.0
WIDTHS = {4: 64, 8: 128, 16: 256, 32: 512}
"""Channels of layer1 to layer4 by their stride."""

Targets = dict[int, Tensor]


class Pupil(nn.Module):
    """The trunk and layer4, which is not shipped, and a 1x1 convolution from each to the source's features."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.layer4 = nn.Sequential(
            BasicBlock(Block(_conv(256, 512, 3, 2), _conv(512, 512, 3, 1), _conv(256, 512, 1, 2))),
            BasicBlock(Block(_conv(512, 512, 3, 1), _conv(512, 512, 3, 1), None)),
        )
        self.heads = nn.ModuleList(nn.Conv2d(width, CHANNELS[stride], 1) for stride, width in WIDTHS.items())

    def loss(self, pixels: Tensor, targets: Targets) -> Tensor:
        """Squared difference to the standardised targets, its mean over channels and positions, for each of four
        levels: [4]."""
        levels = self.trunk(pixels)
        levels.append(self.layer4(levels[-1]))
        return torch.stack(
            [
                nn.functional.mse_loss(head(level).float(), targets[stride])
                for level, head, stride in zip(levels, self.heads, WIDTHS, strict=True)
            ]
        )


class Lessons:
    """What the pupil is shown: by the number of the step alone, so the same after a restart."""

    def __init__(self, data: Path, side: int, share_drawn: float, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._source = Source(data / "teacher")
        self._photos = photographs(data / "natural_images")
        self._scenes = [drawn(rng) for _ in range(DRAWN)]
        self._side, self._share_drawn, self._seed = side, share_drawn, seed
        features = [self._crops(-1 - number)[1] for number in range(MEASURED)]
        together = {stride: np.concatenate([each[stride] for each in features]) for stride in CHANNELS}
        self._means = {stride: values.mean((0, 2, 3), keepdims=True) for stride, values in together.items()}
        self._spreads = {stride: values.std((0, 2, 3), keepdims=True) for stride, values in together.items()}

    def of(self, step: int) -> tuple[Tensor, Targets]:
        """Crops [BATCH, side, side, 3], uint8 RGB, and the source's features by stride, each channel standardised."""
        images, features = self._crops(step)
        targets = {
            stride: torch.from_numpy((values - self._means[stride]) / self._spreads[stride])
            for stride, values in features.items()
        }
        return torch.from_numpy(images), targets

    def _crops(self, step: int) -> tuple[np.ndarray, dict[int, np.ndarray]]:
        rng = np.random.default_rng([self._seed, step + MEASURED])
        count = int(rng.binomial(BATCH, self._share_drawn))
        images = np.concatenate(
            [crops(some, n, self._side, rng) for some, n in ((self._photos, BATCH - count), (self._scenes, count)) if n]
        )
        return images, self._source.features(images)


def _conv(inputs: int, outputs: int, kernel: int, stride: int) -> Conv:
    return Conv("", "", inputs, outputs, kernel, stride)


def teach(
    data: Path,
    output: Path,
    total: int,
    side: int,
    share_drawn: float,
    seed: int,
    device: str,
    start: Path | None,
    rate: float,
) -> None:
    torch.manual_seed(seed)
    lessons = Lessons(data, side, share_drawn, seed)
    pupil = Pupil().to(device, memory_format=torch.channels_last)
    if start:
        pupil.trunk.load(load_file(start))
    average = torch.optim.swa_utils.AveragedModel(pupil, avg_fn=_average, use_buffers=True)
    trunk, rest = list(pupil.trunk.parameters()), [*pupil.layer4.parameters(), *pupil.heads.parameters()]
    optimiser = torch.optim.AdamW([{"params": trunk}, {"params": rest}], rate, weight_decay=DECAY)
    steps = total // BATCH
    kept = HEADS_FIRST if start else 0.0
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, [lambda step: _rate(step / steps - kept), lambda step: _rate(step / steps)]
    )
    parts = {"pupil": pupil, "average": average, "optimiser": optimiser, "schedule": schedule}
    checkpoint = output.with_suffix(".checkpoint")
    step = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        step = state["step"]
        print(f"going on at step {step} of {steps}", flush=True)
    saved = shown = time.monotonic()
    losses: list[Tensor] = []
    with ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(lessons.of, step)
        while step < steps:
            images, targets = coming.result()
            coming = ahead.submit(lessons.of, step + 1)
            with torch.autocast(torch.device(device).type, torch.bfloat16):
                loss = pupil.loss(
                    normalise_pixels(images.to(device)), {stride: value.to(device) for stride, value in targets.items()}
                )
            optimiser.zero_grad(set_to_none=True)
            loss.sum().backward()
            nn.utils.clip_grad_norm_(pupil.parameters(), 5.0)
            optimiser.step()
            schedule.step()
            average.update_parameters(pupil)
            losses.append(loss.detach())
            step += 1
            if time.monotonic() - shown > 60 or step == steps:
                shown = time.monotonic()
                means = ", ".join(f"{mean:.3f}" for mean in torch.stack(losses[-100:]).mean(0).tolist())
                print(f"{time.strftime('%H:%M')} step {step} of {steps}, losses {means}", flush=True)
            if time.monotonic() - saved > EVERY or step == steps:
                saved = time.monotonic()
                state = {name: part.state_dict() for name, part in parts.items()}
                torch.save({**state, "step": step}, checkpoint.with_suffix(".tmp"))
                os.replace(checkpoint.with_suffix(".tmp"), checkpoint)
    weights = average.module.trunk.state_dict()
    save_file({name: value.contiguous() for name, value in weights.items() if value.ndim}, output)


def _rate(done: float) -> float:
    """The rate by the share of the work that is done: warm-up, then cosine."""
    return 0.0 if done < 0 else min(1, (done + 1e-4) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * min(1, done)))


def _average(mean: Tensor, value: Tensor, count: Tensor | int) -> Tensor:
    """A moving average that forgets its random beginning: a fixed decay keeps a third of it for 1,000 steps."""
    if not mean.is_floating_point():
        return value
    return torch.lerp(mean, value, 1 - min(AVERAGE, (1 + int(count)) / (10 + int(count))))


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, default=Path(os.environ.get("UADX_DATA", "../shared/data")))
    arguments.add_argument("--output", type=Path, required=True)
    arguments.add_argument("--crops", dest="total", type=int, default=400_000)
    arguments.add_argument("--side", type=int, default=192, help="of the crops, a multiple of 32")
    arguments.add_argument(
        "--drawn", dest="share_drawn", type=float, default=0.3, help="share of crops of drawn textures"
    )
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--device", default="cpu")
    arguments.add_argument("--start", type=Path, help="weights to begin with instead of random ones")
    arguments.add_argument("--rate", type=float, default=2e-3, help="highest learning rate")
    given = arguments.parse_args()
    teach(**vars(given))
