"""`uadx devices`: rows for what works and for what does not, whatever state the installed plugins are in."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

SPEC = """
from uadx.api import BackendSpec, hookimpl

@hookimpl
def uadx_backends():
    return [BackendSpec(name="acme", api={api}, factory="acme_backend:AcmeBackend", kinds=("npu",), summary="a test",
                        install_hint="pip install acme", sdk_modules=("acme_sdk",), visible_env=("ACME_VISIBLE",))]
"""
PLUGIN = SPEC.format(api=1)
BACKEND = """
{sdk}
import os, sys, time
from uadx.api import Backend, DeviceInfo

class AcmeBackend(Backend):
    def devices(self):
        {listing}
        return [DeviceInfo("card0", "Acme 9", "acme", "npu", 0, memory=8 << 30, precisions=("f32", "f16"))]
    def compile(self, artifact, device, options):
        raise NotImplementedError
"""


@pytest.fixture
def acme(install):
    """Install a plugin that claims the name acme: acme(listing="os.abort()") -> its .dist-info."""

    def install_acme(plugin=PLUGIN, listing="pass", sdk=""):
        backend = BACKEND.format(listing=listing, sdk=sdk)
        return install("acme", {"acme_plugin.py": plugin, "acme_backend.py": backend}, acme="acme_plugin")

    return install_acme


@pytest.fixture
def rows(uadx):
    """The rows of `uadx devices ... --json`."""

    def listed(*args):
        done = uadx("devices", *args, "--json")
        assert done.code == 0, done.err
        return json.loads(done.out)["devices"]

    return listed


@pytest.fixture
def devices_file(tmp_path):
    """A devices file with a kind that only a backend which nothing provides would serve."""
    path = tmp_path / "devices.yaml"
    path.write_text("version: 1\nkinds: {tpu: {backends: [nobody]}}\n")
    return path


def test_a_cpu_machine_is_told_what_works_what_does_not_and_what_each_kind_means(uadx, devices_file):
    done = uadx("devices", "--devices-file", devices_file)
    lines = done.out.splitlines()
    assert done.code == 0
    assert lines[0].split() == ["--device", "or", "name", "vendor", "memory", "precisions", "status"]
    openvino = next(line for line in lines if line.startswith("openvino:CPU "))
    assert openvino.split()[1] == "cpu"
    assert openvino.endswith(" ok")
    nobody = next(index for index, line in enumerate(lines) if line.startswith("nobody "))
    assert lines[nobody].endswith(" not installed")
    assert lines[nobody + 1] == "    no installed package provides it"
    assert "--device cpu  runs on openvino:CPU (the default)" in lines
    assert "--device tpu  has no device here (nobody: not installed)" in lines


def test_the_visible_devices_variable_is_shown_with_its_value(uadx, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert "CUDA_VISIBLE_DEVICES is '1' (read by " in uadx("devices", "gpu", "--no-probe").out


def test_a_backend_may_be_listed_alone(rows):
    assert {row["backend"] for row in rows("openvino")} == {"openvino"}


def test_a_name_that_is_neither_kind_nor_backend_is_refused_with_a_suggestion(uadx):
    done = uadx("devices", "opnvino")
    assert done.code == 2
    assert done.err.startswith("error: 'opnvino' is neither a kind nor a backend; did you mean 'openvino'?")


def test_a_third_partys_device_is_listed_with_all_it_says_of_itself(acme, rows, uadx, monkeypatch, tmp_path):
    acme()
    monkeypatch.setenv("ACME_VISIBLE", "0")
    (row,) = rows("acme")
    assert (row["device"], row["provider"]) == ("acme:card0", "acme 1.5")
    assert (row["name"], row["vendor"], row["memory"], row["precisions"]) == ("Acme 9", "acme", 8 << 30, ["f32", "f16"])
    assert (row["status"], row["visible"]) == ("unverified", {"ACME_VISIBLE": "0"})
    path = tmp_path / "devices.yaml"
    path.write_text("version: 1\nkinds: {npu: {backends: [ascend, acme]}}\n")
    out = uadx("devices", "npu", "--devices-file", path).out
    assert "acme:card0 (acme 1.5)  npu  Acme 9  acme    8.0 GiB  f32 f16     unverified" in out
    assert "--device npu  runs on acme:card0" in out
    assert f"devices file: {path}" in out


MISTYPED = {
    "a memory in words": "memory='16GB'",
    "precisions of none": "precisions=None",
    "an index in words": "index='0'",
    "a reason that is a flag": "unusable=True",
}


@pytest.mark.parametrize("case", MISTYPED)
def test_a_mistyped_device_is_a_row_and_the_others_are_listed(acme, rows, case):
    acme(listing=f"return [DeviceInfo('card0', 'Acme 9', 'acme', {MISTYPED[case]})]")
    found = rows()
    (row,) = [row for row in found if row["backend"] == "acme"]
    assert row["status"] == "broken"
    assert row["reason"].startswith("DeviceInfo: Expected `")
    assert any(row["device"] == "openvino:CPU" for row in found)


def test_what_would_garble_a_terminal_is_shown_on_one_line(acme, uadx):
    acme(listing="return [DeviceInfo('card0', 'Acme\\n9 \\x1b[31mred', 'acme')]")
    assert "acme:card0 (acme 1.5)      Acme 9  [31mred  acme" in uadx("devices", "acme").out


def test_a_kind_that_no_devices_file_gives_it_is_said_not_to_reach_it(acme, rows):
    acme()
    (row,) = rows("acme")
    assert (row["kind"], row["status"]) == (None, "unverified")
    assert row["reason"] == "--device npu does not reach it: no devices file lists acme under npu"


def test_a_name_that_cannot_be_typed_is_a_row(install, rows):
    install("acme", {"acme_plugin.py": PLUGIN.replace('"acme"', '"auto"')}, auto="acme_plugin")
    (row,) = rows("auto")
    assert row["status"] == "broken"
    assert row["reason"].startswith("'auto' cannot be typed as a device")


def test_a_helper_process_that_an_sdk_leaves_behind_is_ended_and_the_answer_is_taken(acme, rows, tmp_path):
    pid = tmp_path / "pid"
    start = "import subprocess; helper = subprocess.Popen(['sleep', '600'])"
    acme(listing=f"{start}; open({str(pid)!r}, 'w').write(str(helper.pid))")
    (row,) = rows("acme")
    assert row["device"] == "acme:card0"
    deadline = time.monotonic() + 60
    while os.path.exists(f"/proc/{pid.read_text()}/exe") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not os.path.exists(f"/proc/{pid.read_text()}/exe")


def test_a_damaged_package_that_has_nothing_to_do_with_uadx_harms_nothing(install, uadx, good_image, tmp_path):
    info = install("other", {}, other="other")
    (info / "entry_points.txt").write_bytes(b"[console_scripts]\n\xff\xfe = x:y\n")
    assert works_on_the_cpu(uadx, good_image, tmp_path)


BROKEN = {
    "its spec is mistyped": (PLUGIN.replace('kinds=("npu",)', 'kinds="npu"'), "broken", "BackendSpec: Expected"),
    "its variables are one word": (
        PLUGIN.replace('visible_env=("ACME_VISIBLE",)', 'visible_env="ACME"'), "broken", "at `$.visible_env`",
    ),
    "its import raises": ("import acme_part", "broken", "ModuleNotFoundError: No module named 'acme_part'"),
    "its import exits": ("raise SystemExit('no licence')", "broken", "SystemExit: no licence"),
    "its hook is misspelt": (PLUGIN.replace("uadx_backends", "uadx_backend"), "broken", "unknown hook 'uadx_backend'"),
    "its api number is too new": (
        SPEC.format(api=9), "incompatible", "written for version 9 of the backend API, this uadx has version 1",
    ),
    "its api number is copied": (
        "from uadx.api import API_VERSION\n" + SPEC.format(api="API_VERSION"),
        "incompatible",
        "its api is copied from uadx.api.API_VERSION, which fits any uadx: it must be a number of its own",
    ),
    "its api is no number": (SPEC.format(api="'1'"), "incompatible", "its api is '1' and not a number"),
}  # fmt: skip


def works_on_the_cpu(uadx, good_image, tmp_path):
    """No plugin, in whatever state, keeps the processor from working."""
    run = ("run", "--model", "default", "--input", good_image, "--output", tmp_path / "out", "--device", "cpu")
    done = uadx(*run, "--format", "jsonl")
    return done.code == 0 and "on openvino:CPU (f32)" in done.out and done.err == ""


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_is_a_row_with_its_reason_and_the_cpu_works(case, acme, rows, uadx, good_image, tmp_path):
    plugin, status, reason = BROKEN[case]
    acme(plugin)
    (row,) = rows("acme")
    assert row["status"] == status
    assert reason in row["reason"]
    assert row["fix"]
    assert works_on_the_cpu(uadx, good_image, tmp_path)


@pytest.mark.parametrize(
    ("listing", "seconds", "reason"),
    [
        ("os.abort()", 60, "probe died: SIGABRT"),
        ("print('card is on fire', file=sys.stderr, flush=True); os._exit(7)", 60, "probe died: exit code 7: card is"),
        ("raise RuntimeError('no driver')", 60, "RuntimeError: no driver"),
        ("time.sleep(60)", 2, "probe hung: no answer within 2 s"),
    ],
    ids=["aborts", "exits", "raises", "hangs"],
)
def test_an_sdk_that_takes_its_process_down_is_a_row(listing, seconds, reason, acme, rows):
    acme(listing=listing)
    start = time.monotonic()
    (row,) = rows("acme", "--timeout", seconds)
    assert row["status"] in ("broken", "unavailable")
    assert row["device"] is None
    assert reason in row["reason"]
    assert time.monotonic() - start < 30


def test_a_plugin_whose_import_hangs_is_a_row_and_the_cpu_works(acme, rows, uadx, good_image, tmp_path):
    acme("import time\ntime.sleep(60)")
    (row,) = rows("acme", "--timeout", "2")
    assert (row["status"], row["reason"]) == ("broken", "probe hung: no answer within 2 s")
    assert works_on_the_cpu(uadx, good_image, tmp_path)


def test_an_sdk_may_print_more_than_a_pipe_holds(acme, rows):
    acme(listing="os.write(2, b'x' * 300_000)")
    (row,) = rows("acme")
    assert row["device"] == "acme:card0"


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
def test_control_c_ends_at_once_and_leaves_no_child(acme, tmp_path):
    acme(listing=f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)")
    start = f"import json, sys; sys.path[:] = json.loads({json.dumps(sys.path)!r}); from uadx.cli import main; main()"
    command = [sys.executable, "-c", start, "devices", "acme"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not ((pid := tmp_path / "pid").exists() and pid.read_text()):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err.strip()) == (130, "interrupted")
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_what_an_sdk_prints_does_not_garble_the_listing(acme, rows):
    acme(listing="os.write(1, b'hello from the SDK')")
    (row,) = rows("acme")
    assert row["device"] == "acme:card0"


def test_a_name_claimed_by_two_distributions_is_a_row_that_names_both(acme, install, rows, uadx, good_image, tmp_path):
    acme()
    install("zeta", {"zeta_plugin.py": PLUGIN}, acme="zeta_plugin")
    (row,) = rows("acme")
    assert (row["status"], row["fix"]) == ("conflict", "uninstall one of the two")
    assert row["reason"] == "claimed by acme 1.5 and by zeta 1.5"
    assert works_on_the_cpu(uadx, good_image, tmp_path)


def test_a_name_of_uadx_itself_cannot_be_taken(install, rows, uadx, good_image, tmp_path):
    install("evil", {"evil_plugin.py": "raise SystemExit"}, openvino="evil_plugin")
    own, refused = rows("openvino")
    assert (own["device"], own["status"]) == ("openvino:CPU", "ok")
    assert (refused["provider"], refused["status"]) == ("evil 1.5", "conflict")
    assert (refused["reason"], refused["fix"]) == ("the name 'openvino' is uadx's own", "uninstall evil")
    assert works_on_the_cpu(uadx, good_image, tmp_path)


def test_metadata_of_a_plugin_that_was_removed_is_a_row(install, rows, uadx, good_image, tmp_path):
    install("acme", {}, acme="acme_plugin_that_is_gone")
    (row,) = rows("acme")
    assert row["status"] == "broken"
    assert "its module 'acme_plugin_that_is_gone' is gone and its metadata is still there" in row["reason"]
    assert row["fix"] == "reinstall acme, or remove what is left: python -m pip uninstall acme"
    assert works_on_the_cpu(uadx, good_image, tmp_path)


def test_metadata_without_a_name_is_a_row(acme, rows, uadx, good_image, tmp_path):
    (acme() / "METADATA").unlink()
    (row,) = rows("acme")
    assert row["device"] == "acme:card0"
    assert works_on_the_cpu(uadx, good_image, tmp_path)


def test_entry_points_that_cannot_be_parsed_are_a_row(acme, rows, uadx, good_image, tmp_path):
    (acme() / "entry_points.txt").write_text("[uadx.backends]\nacme\n")
    damaged = [row for row in rows("--no-probe") if row["provider"] == "acme 1.5"]
    assert [row["status"] for row in damaged] == ["broken"]
    assert damaged[0]["reason"].startswith("its entry_points.txt cannot be read: ")
    assert works_on_the_cpu(uadx, good_image, tmp_path)


def test_a_backend_whose_sdk_is_missing_is_not_installed_and_says_how_to_install_it(acme, rows):
    acme(sdk="import acme_sdk")
    (row,) = rows("acme")
    assert row["status"] == "not installed"
    assert row["reason"] == "the package 'acme_sdk' is not installed"
    assert row["fix"] == "pip install acme"


def test_a_device_that_is_seen_and_cannot_be_used_has_its_reason_and_its_plugins_advice(acme, rows):
    advice = (
        "\n@hookimpl\ndef uadx_explain_failure(backend, error): return 'cool it' if 'hot' in str(error) else None\n"
    )
    acme(PLUGIN + advice, listing="return [DeviceInfo('card0', 'Acme', 'acme', unusable='too hot')]")
    (row,) = rows("acme")
    assert (row["status"], row["reason"], row["fix"]) == ("unavailable", "too hot", "cool it")


def test_a_backend_without_a_device_is_unavailable(acme, rows):
    acme(listing="return []")
    (row,) = rows("acme")
    assert (row["status"], row["reason"]) == ("unavailable", "it sees no device")


def test_what_the_machine_shows_without_the_sdk_is_told_apart(acme, uadx, rows):
    discovery = """

from uadx.api import Finding

def discover(machine):
    nodes = machine.names("/dev", "null")
    return [Finding("card", bool(nodes), f"/dev/{nodes[0]}"), Finding("driver", False, "no /proc/acme")]
"""
    acme(PLUGIN.replace('kinds=("npu",)', 'kinds=("npu",), discovery="acme_plugin:discover"') + discovery,
         sdk="import acme_sdk")  # fmt: skip
    (row,) = rows("acme")
    assert [finding["what"] for finding in row["findings"]] == ["card", "driver"]
    out = uadx("devices", "acme").out
    assert "    card: /dev/null\n    driver: no /proc/acme\n    the package 'acme_sdk' is not installed" in out
    assert "    card, no driver: the package 'acme_sdk' is not installed" in uadx("devices").out


def test_without_probing_no_sdk_and_no_foreign_plugin_is_loaded(acme):
    acme("raise SystemExit('imported')")
    code = """
import sys
from uadx.cli import main
try:
    main(["devices", "--no-probe"])
except SystemExit as end:
    assert not end.code
foreign = {"openvino", "onnxruntime", "torch", "numpy", "cv2", "rich", "acme_plugin"} & set(sys.modules)
assert not foreign, foreign
"""
    path = json.dumps(sys.path)
    start = f"import json, sys; sys.path[:] = json.loads({path!r})\n"
    done = subprocess.run([sys.executable, "-c", start + code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "acme (acme 1.5)" in done.stdout
    assert "not probed" in done.stdout
