"""Teach a ResNet-18 to see, from 1,000 photographs, drawn textures and the features of an ImageNet MobileNetV2.

Two lessons at once: to repeat the MobileNet's features, and to say where a plain texture bears a drawn defect.

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
from numpy.typing import NDArray
from pictures import crops, drawn, photographs, texture
from safetensors.numpy import load_file
from safetensors.torch import save_file
from source import CHANNELS, Source
from torch import Tensor, nn

from uadx.stfpm.network import BasicBlock, Trunk, normalise_pixels
from uadx.stfpm.synthetic import paste
from uadx.stfpm.weights import Block, Conv

BATCH = 64
WARM_UP, DECAY = 0.02, 0.02
AVERAGE = 0.999
SIDES = ((0.0, 128), (0.85, 192))
"""The crops' side from each part of the work on: the last part is done at a size nearer to that of use."""
DRAWN = 400
SPOILT = 16
"""Crops of each batch that show a plain texture, which the batch asks about: four in five bear drawn defects."""
SPOTS, RARE = 1.0, 5.0
"""Weight of that question, and of a position with a defect in it."""
EVERY = 300.0
WIDTHS = {4: 64, 8: 128, 16: 256, 32: 512}
"""Channels of layer1 to layer4 by their stride."""
NO_LENGTH = 1e-3


class Pupil(nn.Module):
    """The trunk and layer4, which is not shipped, and a 1x1 convolution from each to the source's features.

    Both are compared as unit vectors, as STFPM compares student and teacher: channels that vary little weigh little.
    With standardised channels nearest neighbours in the source find .84 on magnetic tiles, with unit vectors .89.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.layer4 = nn.Sequential(
            BasicBlock(Block(_conv(256, 512, 3, 2), _conv(512, 512, 3, 1), _conv(256, 512, 1, 2))),
            BasicBlock(Block(_conv(512, 512, 3, 1), _conv(512, 512, 3, 1), None)),
        )
        self.spots = nn.ModuleList(nn.Conv2d(WIDTHS[stride], 1, 1) for stride in (4, 8, 16))
        self.heads = nn.ModuleList(nn.Conv2d(width, CHANNELS[stride], 1) for stride, width in WIDTHS.items())

    def loss(self, pixels: Tensor, targets: dict[int, Tensor], defects: Tensor) -> tuple[Tensor, Tensor]:
        """Squared distance of unit vectors, the mean over positions, summed over four levels; and the cross entropy of
        telling where the last crops bear defects [n, H, W], summed over three."""
        levels = self.trunk(pixels)
        found = [spot(level[-len(defects) :]).float()[:, 0] for spot, level in zip(self.spots, levels, strict=True)]
        levels.append(self.layer4(levels[-1]))
        repeating, telling = pixels.new_zeros(()), pixels.new_zeros(())
        for level, head, stride in zip(levels, self.heads, WIDTHS, strict=True):
            repeated, wanted = (
                nn.functional.normalize(x, eps=NO_LENGTH) for x in (head(level).float(), targets[stride])
            )
            repeating = repeating + (repeated - wanted).square().sum(1).mean()
        for logits in found:
            there = (nn.functional.adaptive_avg_pool2d(defects, logits.shape[1:]) > 0.5).float()
            telling = telling + nn.functional.binary_cross_entropy_with_logits(
                logits, there, pos_weight=logits.new_tensor(RARE)
            )
        return repeating, telling


def _conv(inputs: int, outputs: int, kernel: int, stride: int) -> Conv:
    return Conv("", "", inputs, outputs, kernel, stride)


def teach(
    data: Path, output: Path, total: int, share_drawn: float, seed: int, device: str, start: Path | None, rate: float
) -> None:
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    source = Source(data / "teacher")
    photos = photographs(data / "natural_images")
    scenes = [drawn(rng) for _ in range(DRAWN)]
    plain = [texture(rng, 320) for _ in range(DRAWN)]
    pupil = Pupil().to(device, memory_format=torch.channels_last)
    if start:
        pupil.trunk.load(load_file(start))
    average = torch.optim.swa_utils.AveragedModel(pupil, avg_fn=_average, use_buffers=True)
    optimiser = torch.optim.AdamW(pupil.parameters(), rate, weight_decay=DECAY)
    steps = total // BATCH
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda step: min(1, (step + 1) / (WARM_UP * steps)) * 0.5 * (1 + math.cos(math.pi * min(1, step / steps))),
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

    def batch(at: int) -> tuple[Tensor, dict[int, Tensor], Tensor]:
        rng = np.random.default_rng([seed, at])  # by the step alone: the same after a restart
        side = next(side for start, side in reversed(SIDES) if at >= start * steps)
        count = int(rng.binomial(BATCH - SPOILT, share_drawn))
        spoilt, defects = _spoilt(crops(plain, SPOILT, side, rng, mixed=0.0), rng)
        images = np.concatenate(
            [crops(some, n, side, rng) for some, n in ((photos, BATCH - SPOILT - count), (scenes, count)) if n]
            + [spoilt]
        )
        features = {stride: torch.from_numpy(value) for stride, value in source.features(images).items()}
        return torch.from_numpy(images), features, torch.from_numpy(defects)

    saved = shown = time.monotonic()
    losses: list[tuple[float, float]] = []
    with ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(batch, step)
        while step < steps:
            images, targets, defects = coming.result()
            coming = ahead.submit(batch, step + 1)
            with torch.autocast(torch.device(device).type, torch.bfloat16):
                repeating, telling = pupil.loss(
                    normalise_pixels(images.to(device)),
                    {stride: value.to(device) for stride, value in targets.items()},
                    defects.to(device),
                )
                loss = repeating + SPOTS * telling
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(pupil.parameters(), 5.0)
            optimiser.step()
            schedule.step()
            average.update_parameters(pupil)
            losses.append((repeating.item(), telling.item()))
            step += 1
            if time.monotonic() - shown > 60 or step == steps:
                shown = time.monotonic()
                means = " + ".join(f"{mean:.3f}" for mean in np.mean(losses[-200:], axis=0))
                print(f"{time.strftime('%H:%M')} step {step} of {steps}, loss {means}", flush=True)
            if time.monotonic() - saved > EVERY or step == steps:
                saved = time.monotonic()
                state = {name: part.state_dict() for name, part in parts.items()}
                torch.save({**state, "step": step}, checkpoint.with_suffix(".tmp"))
                os.replace(checkpoint.with_suffix(".tmp"), checkpoint)
    trunk = average.module.trunk.state_dict()
    save_file({name: value.contiguous() for name, value in trunk.items() if value.is_floating_point()}, output)


def _spoilt(images: NDArray[np.uint8], rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Defects on four in five, and where: [n, H, W]. The teacher is shown what an inspection asks of it."""
    spoilt, where = np.array(images), np.zeros(images.shape[:3], np.float32)
    for place in np.flatnonzero(rng.random(len(images)) < 0.8):
        spoilt[place], where[place] = paste(images[place], images[int(rng.integers(len(images)))], rng)
    return spoilt, where


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
    arguments.add_argument(
        "--drawn", dest="share_drawn", type=float, default=0.3, help="share of crops of drawn textures"
    )
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--device", default="cpu")
    arguments.add_argument("--start", type=Path, help="weights to begin with instead of random ones")
    arguments.add_argument("--rate", type=float, default=2e-3, help="highest learning rate")
    given = arguments.parse_args()
    teach(**vars(given))
