"""Workers on the machines of a Ray cluster, and the shards handed out to them as they come free.

Source: https://docs.ray.io, "Actors", "Accelerator support" and "Fault tolerance". Ray's own actors and not Ray Data:
docs/decisions.md says why. A worker that dies or whose device fails is replaced and its shard given out again.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from uadx.cluster.shards import Shard
from uadx.cluster.worker import Failed, Job, Outcome, Worker
from uadx.contract import words
from uadx.errors import InferenceError, OutputError, UadxError, UnavailableError

ATTEMPTS = 3
"""At one shard, and at one worker's start."""
IN_A_ROW = 10
"""Shards that failed without a success between, after which the rest is not tried."""
_HOST_AND_PORT = re.compile(r"(ray://)?(?P<host>[^:/]+):(?P<port>\d{1,5})")
_CONNECT = 10.0  # seconds
_LOOK = 10.0  # seconds between two looks for machines that came or went
_PATIENCE = 60.0  # seconds without any worker, after which that is said


@dataclass(frozen=True)
class Slot:
    """Room for one worker. node: Ray's id of the machine, host: its address. cpus: threads; cards: by Ray's name."""

    node: str
    host: str
    number: int
    cpus: float
    cards: tuple[tuple[str, float], ...] = ()


@dataclass
class _Hired:
    slot: Slot
    actor: Any
    shard: Shard | None = None
    attempt: int = 0


@dataclass
class RayCrew:
    """A context manager; leaving it ends the workers. per_card: a worker for each of Ray's accelerators of that name,
    and not one for each machine. say: is told what the user should know."""

    job: Job
    address: str | None
    per_card: str | None
    say: Callable[[str], None]
    _ray: Any = field(init=False)
    _actors: Any = field(init=False)

    def __enter__(self) -> RayCrew:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers
        try:
            import ray
        except ImportError as error:
            raise UnavailableError(
                "--engine ray takes the package 'ray', which is not installed",
                hint="python -m pip install 'uadx[ray]'",
                cause_text=str(error),
            ) from error
        self._ray = ray
        try:
            if found := _HOST_AND_PORT.fullmatch(self.address or ""):
                # Ray itself tries for minutes
                socket.create_connection((found["host"], int(found["port"])), timeout=_CONNECT).close()
            with _away_from_here(), _own_signals():
                ray.init(address=self.address, log_to_driver=False, logging_level=logging.ERROR, **self._own)
        except Exception as error:  # OSError, ValueError, RuntimeError and Ray's own, by what is wrong
            where = f"at {self.address}" if self.address else "on this machine"
            raise UnavailableError(
                f"no Ray cluster {where}",
                hint="start one: ray start --head; then --address auto, or --address HOST:6379. Where it asks for a "
                "token: RAY_AUTH_MODE=token, and its ~/.ray/auth_token here",
                cause_text=words(error),
            ) from error
        self._actors = ray.remote(_Actor)
        self._job = ray.put(self.job)
        return self

    @property
    def _own(self) -> dict[str, Any]:
        """For a cluster that is started here, and ends with the run; a running one has its settings."""
        return {"include_dashboard": False} if self.address is None and not os.environ.get("RAY_ADDRESS") else {}

    def __exit__(self, *why: object) -> None:
        self._ray.shutdown()

    def run(self, shards: Iterator[Shard]) -> Iterator[Outcome | Failed]:
        """What comes of each shard, in the order in which they are done. No more shards are drawn than have workers.

        Raises OutputError, the failure of the last worker that could have been, and the last failure where nothing
        succeeds any more.
        """
        shift = _Shift(self)
        try:
            yield from shift.work(shards)
        finally:
            shift.end()

    def slots(self) -> list[Slot]:
        """Room for workers on the machines that are there now."""
        found = []
        for node in self._ray.nodes():
            has = node["Resources"]
            if not node["Alive"] or has.get("CPU", 0) <= 0:
                continue
            name = self.per_card
            cards = {card: has[card] for card in ("GPU", "NPU") if has.get(card)}
            count = int(has.get(name, 0)) if name else 1
            mine = ((name, 1.0),) if name else tuple(cards.items())
            found += [
                Slot(node["NodeID"], node["NodeManagerAddress"], number, has["CPU"] / count, mine)
                for number in range(count)
            ]
        return found

    def hire(self, slot: Slot) -> tuple[_Hired, Any]:
        """Start a worker there; what tells when it is ready."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        cards = dict(slot.cards)
        actor: Any = self._actors.options(
            num_cpus=slot.cpus,
            num_gpus=cards.pop("GPU", 0),
            resources=cards,
            scheduling_strategy=NodeAffinitySchedulingStrategy(slot.node, soft=False),
        ).remote()
        return _Hired(slot, actor), actor.open.remote(self._job, max(1, int(slot.cpus)))


@contextmanager
def _away_from_here() -> Iterator[None]:
    """Ray lets its workers import from the current directory first: a json.py among the pictures would be run."""
    here = os.getcwd()
    os.chdir(os.path.abspath(os.sep))
    try:
        yield
    finally:
        os.chdir(here)


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself: what it meant before is put back."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


class _Actor:
    """In the worker's process. Failures are values: an error of uadx arrives as it is."""

    def __init__(self) -> None:
        self._worker: Worker | None = None

    def open(self, job: Job, threads: int) -> UadxError | None:
        try:
            self._worker = Worker(job, threads)
        except UadxError as error:
            return error
        return None

    def inspect(self, shard: Shard) -> Outcome | UadxError:
        assert self._worker is not None
        try:
            return self._worker.inspect(shard)
        except UadxError as error:
            return error


class _Shift:
    """One run of a crew: who works on what, and who could not."""

    def __init__(self, crew: RayCrew) -> None:
        self._crew, self._ray = crew, crew._ray
        self._starting: dict[Any, _Hired] = {}
        self._busy: dict[Any, _Hired] = {}
        self._idle: deque[_Hired] = deque()
        self._again: deque[tuple[Shard, int]] = deque()
        self._starts: dict[Slot, int] = {}
        self._proved: set[Slot] = set()
        self._failing: set[int] = set()
        self._looked = float("-inf")
        self._last: UadxError | None = None

    def work(self, shards: Iterator[Shard]) -> Iterator[Outcome | Failed]:
        waiting_since: float | None = time.monotonic()
        fresh: Iterator[tuple[Shard, int]] = ((shard, 1) for shard in shards)
        while True:
            self._look_around()
            while self._idle:  # what failed once comes last: it may fail again and take its worker with it
                given = next(fresh, None) or (self._again.popleft() if self._again else None)
                if given is None:
                    break
                self._give(self._idle.popleft(), *given)
            if not self._busy:
                if self._idle:
                    return
                self._check_hope()
            ready, _ = self._ray.wait([*self._starting, *self._busy], timeout=_LOOK)
            if self._busy or self._idle:
                waiting_since = None
            elif waiting_since is not None and time.monotonic() - waiting_since > _PATIENCE:
                self._crew.say("no worker has started yet: are the cluster's processors taken by other work?")
                waiting_since = None
            for ref in ready:
                yield from self._take(ref)

    def _check_hope(self) -> None:
        """Raises the last failure, or that there is no room, where no worker is to come."""
        if not self._starting:
            raise self._last or UnavailableError(
                "the Ray cluster has no room for a worker",
                hint=f"its machines must show {self._crew.per_card or 'CPU'}: see `ray status`",
            )

    def _look_around(self) -> None:
        if time.monotonic() - self._looked < _LOOK:
            return
        self._looked = time.monotonic()
        for slot in self._crew.slots():
            if slot not in self._starts:
                self._start(slot)

    def _start(self, slot: Slot) -> None:
        self._starts[slot] = self._starts.get(slot, 0) + 1
        hired, opened = self._crew.hire(slot)
        self._starting[opened] = hired

    def _give(self, hired: _Hired, shard: Shard, attempt: int) -> None:
        hired.shard, hired.attempt = shard, attempt
        self._busy[hired.actor.inspect.remote(shard)] = hired

    def _take(self, ref: Any) -> Iterator[Outcome | Failed]:
        found = self._get(ref)
        if ref in self._starting:
            hired = self._starting.pop(ref)
            if isinstance(found, UadxError):
                self._not_started(hired, found)
            else:
                self._idle.append(hired)
            return
        hired = self._busy.pop(ref)
        if isinstance(found, Outcome):
            self._failing.clear()
            self._proved.add(hired.slot)
            self._idle.append(hired)
            yield found
            return
        assert isinstance(found, UadxError)
        assert hired.shard is not None
        self._replace(hired, found)
        if hired.attempt < ATTEMPTS:
            self._again.append((hired.shard, hired.attempt + 1))
        else:
            yield Failed(hired.shard, found)

    def _get(self, ref: Any) -> object:
        try:
            return self._ray.get(ref)
        except Exception as error:  # Ray's own: the process or the machine died, or raised what is no error of uadx
            return InferenceError(
                "a worker failed",
                cause_text=words(error).strip().splitlines()[0],
                hint="what was done stays, and --resume goes on; why a process died is in Ray's logs, see `ray logs`",
            )

    def _not_started(self, hired: _Hired, why: UadxError) -> None:
        self._crew.say(f"no worker on {hired.slot.host}: {why.in_one_line}")
        self._let_go(hired, why)

    def _replace(self, hired: _Hired, why: UadxError) -> None:
        """Another worker in the place of one that failed, until failing is all that happens."""
        assert hired.shard is not None
        self._failing.add(hired.shard.number)
        if isinstance(why, OutputError) or len(self._failing) >= IN_A_ROW:
            raise why
        self._crew.say(f"a worker on {hired.slot.host} failed: {why.in_one_line}")
        self._let_go(hired, why)

    def _let_go(self, hired: _Hired, why: UadxError) -> None:
        self._last = why
        self._ray.kill(hired.actor)
        # what else than a failure at work keeps a worker from it will keep the next one
        hope = isinstance(why, InferenceError) and (hired.slot in self._proved or self._starts[hired.slot] < ATTEMPTS)
        if hope and hired.slot in self._crew.slots():
            self._start(hired.slot)

    def end(self) -> None:
        for hired in [*self._starting.values(), *self._busy.values(), *self._idle]:
            self._ray.kill(hired.actor)
