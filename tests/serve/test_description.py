"""The OpenAPI description and the server are held to each other by Schemathesis, from outside."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
PROGRAM = shutil.which("st", path=str(Path(sys.executable).parent))


@pytest.mark.skipif(PROGRAM is None, reason="schemathesis comes with the extra test")
def test_the_server_does_as_its_description_says(start, tmp_path):
    server = start("--admin-key", "boss")
    described = httpx.get(f"{server.url}/openapi.json").json()
    # the first answer asks every SDK of the machine, which may outlast Schemathesis' ten seconds; later ones are known
    assert httpx.get(f"{server.url}/v1/devices", headers={"X-API-Key": "boss"}, timeout=60).is_success
    done = subprocess.run(
        [
            PROGRAM, "run", f"{server.url}/openapi.json", "--header", "X-API-Key: boss", "--checks",
            f"{CHECKS},unsupported_method,negative_data_rejection", "--phases", "examples,coverage,fuzzing",
            "--max-examples", "10", "--generation-deterministic", "--no-color", "--warnings", "off",
        ],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    operations = sum(len(place.keys() & {"get", "post"}) for place in described["paths"].values())
    assert f"Tested: {operations - 1}\n" in done.stdout  # all but the address of the description itself
