"""Servers: one in this process for whoever may share it, and real processes for what needs one."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time

import httpx
import pytest

pytest.importorskip("starlette", reason="uadx serve needs the extra serve")
pytest.importorskip("httpx", reason="the client needs the extra client")

import uvicorn

from uadx.pipeline.config import PipelineConfig
from uadx.serve.engine import Engine
from uadx.serve.lifecycle import address_of, bound, config_of
from uadx.serve.metrics import Metrics
from uadx.serve.service import Service
from uadx.serve.settings import Settings

PATIENCE = 60.0


@contextlib.contextmanager
def serving(config=None, **settings):
    """A server in this process: yields a client whose `service` is the server's."""
    settings, metrics = Settings(**settings), Metrics()
    service = Service(Engine(config or PipelineConfig(device="openvino:CPU"), settings, metrics), settings, metrics)
    opened = bound("127.0.0.1", 0)
    server = uvicorn.Server(config_of(service))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]})
    thread.start()
    try:
        with httpx.Client(base_url=address_of(opened), timeout=PATIENCE) as client:
            client.service = service
            yield client
    finally:
        server.should_exit = True
        thread.join()
        service.engine.close()


@pytest.fixture(scope="module")
def server():
    """One for whoever only asks; it ends with the module, or tests that count threads would see its own."""
    with serving() as client:
        yield client


class Process:
    """A `uadx serve` in a process of its own, at a port that it chose."""

    def __init__(self, *options, **environment):
        command = [sys.executable, "-m", "uadx", "serve", "--port", "0", *map(str, options)]
        path = os.pathsep.join(filter(None, sys.path))
        self._err = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115  a pipe that nobody reads is full one day
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self._err, text=True,
            env={**os.environ, "PYTHONPATH": path, **environment},
        )  # fmt: skip
        line = self.process.stdout.readline()
        assert "http://" in line, self._end()
        self.url = line.split()[-1]

    def stop(self, how):
        """Send a signal; exit code and stderr."""
        self.process.send_signal(how)
        return self._end()

    def kill(self):
        """End it if it still runs."""
        self.process.kill()
        self._end()

    def _end(self):
        if self._err.closed:
            return self.process.returncode, ""
        self.process.communicate(timeout=PATIENCE)
        with self._err:
            self._err.seek(0)
            return self.process.returncode, self._err.read()


@pytest.fixture
def start():
    """start("--api-key", "x") -> Process; none is left running."""
    started = []

    def begin(*options, **environment):
        started.append(Process("--device", "openvino:CPU", *options, **environment))
        return started[-1]

    yield begin
    for one in started:
        one.kill()


def until(true):
    """Wait for a condition."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def lines_of(caplog, name):
    """What the log says of the request of that id, waited for. A line is written when its answer is out, so that one
    of the test before may come first."""

    def found():
        return [record for record in caplog.records if getattr(record, "request_id", None) == name]

    until(found)
    return found()


@pytest.fixture
def chip(install):
    """The state of a backend that can be slow, break, be unplugged and hang, and finds no numbers for white pictures:
    chip["seconds"], ["broken"], ["unplugged"], ["hangs while"] a file is there, ["does not close"]."""
    from serve.limping import LIMPING

    install("acme", {"limping.py": LIMPING}, limping="limping")
    import limping

    yield limping.STATE
    limping.STATE.clear()
