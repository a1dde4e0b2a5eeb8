"""The kit itself: its hooks, its runner, a core that cannot be left out, golden models that can be made again."""

import os
import subprocess
import sys
from unittest import SkipTest

import numpy as np
import pytest

from uadx.testing import BackendConformance, Tolerance
from uadx.testing.expect import captured_stdout, require_answer
from uadx.testing.golden import MODELS
from uadx.testing.runner import describe, run
from uadx.testing.suite import GROUPS

CHECKS = [name for group in GROUPS for name in vars(group) if name.startswith("test_")]


def test_every_check_says_in_one_sentence_what_it_proves():
    for group in GROUPS:
        for name, check in vars(group).items():
            if name.startswith("test_"):
                assert check.__doc__.endswith("."), name
                assert "\n" not in check.__doc__, name


def test_a_skipped_check_is_listed_with_its_reason(mutants):
    class OneDevice(BackendConformance):
        device = "openvino:CPU"

    result = next(result for result in run(OneDevice()) if result.name == "test_the_index_is_not_ignored")
    assert (result.outcome, result.message) == ("skipped", "openvino lists one device like 'CPU'")


def test_an_exception_in_a_check_is_a_failure_and_the_next_one_runs(kit_for):
    kit = kit_for("Correct")
    kit.subject.backend.versions = lambda: 1 / 0
    results = run(kit)
    failed = next(result for result in results if result.name == "test_versions_are_text")
    assert (failed.outcome, failed.message) == ("failed", "unexpected ZeroDivisionError: division by zero")
    assert next(results).outcome == "passed"


def test_a_backend_that_compiles_nothing_is_described_all_the_same(kit_for):
    kit = kit_for("Correct")
    kit.subject.backend.compile = kit.subject.backend.versions = lambda *_: 1 / 0
    described = describe(kit)
    assert (described["device"], described["distribution"]) == ("correct:0", "mutants")
    assert (described["sdk"], described["placement"], described["tolerance"]) == ({}, None, None)


def test_pytest_collects_a_subclass_and_shows_its_skips(mutants, tmp_path):
    (tmp_path / "test_chip.py").write_text(
        "from uadx.testing import BackendConformance\n"
        "class TestChip(BackendConformance):\n"
        "    device = 'correct:0'\n"
        "class TestEngine(BackendConformance):\n"
        "    device = 'openvino:CPU'\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*map(str, mutants), os.environ.get("PYTHONPATH", "")])}
    options = ["-q", "-rs", "-p", "no:cacheprovider", "-k", "relu or index or whole"]
    command = [sys.executable, "-m", "pytest", *options, "."]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "openvino lists one device like 'CPU'" in done.stdout
    collected = 2 * (len(CHECKS) + 1)  # and test_the_kit_is_whole
    assert f"5 passed, 1 skipped, {collected - 6} deselected" in done.stdout


def replaced(self):
    pass


@pytest.mark.parametrize("replacement", [replaced, None], ids=["overridden", "set to None"])
def test_a_check_that_a_subclass_replaces_fails(replacement):
    cls = type("TestFoo", (BackendConformance,), {"device": "foo:0", "test_relu": replacement})
    with pytest.raises(AssertionError, match="the kit's own test_relu\ngot: what TestFoo has in its place"):
        cls().test_relu()
    with pytest.raises(AssertionError, match="the kit's own test_relu"):
        cls().test_the_kit_is_whole()


def test_a_mixin_cannot_replace_a_check_either():
    mixin = type("Mixin", (), {"test_relu": replaced})
    cls = type("TestFoo", (mixin, BackendConformance), {"device": "foo:0"})
    with pytest.raises(AssertionError, match="the kit's own test_relu"):
        cls().test_relu()


def test_what_the_checks_stand_on_cannot_be_replaced_either():
    cls = type("TestFoo", (BackendConformance,), {"device": "foo:0", "_allowed": lambda self, model: Tolerance(9, 9)})
    with pytest.raises(AssertionError, match="the kit's own _allowed"):
        cls().test_relu()


def test_a_check_that_is_taken_out_later_is_missed(monkeypatch):
    monkeypatch.delattr("uadx.testing.numerics.Numerics.test_relu")
    cls = type("TestFoo", (BackendConformance,), {"device": "foo:0"})
    with pytest.raises(AssertionError, match="the kit's own test_relu"):
        cls().test_the_kit_is_whole()


def test_the_guard_itself_cannot_be_replaced():
    cls = type("TestFoo", (BackendConformance,), {"device": "foo:0", "test_the_kit_is_whole": replaced})
    with pytest.raises(AssertionError, match="the kit's own test_the_kit_is_whole"):
        cls().test_the_kit_is_whole()


def test_a_stand_in_is_injected_by_open_backend_and_a_fresh_process_is_not_asked_for_it(mutants):
    from correct import Correct
    from mutant_plugin import uadx_backends

    spec = next(spec for spec in uadx_backends() if spec.name == "correct")

    class WithAStandIn(BackendConformance):
        device = "correct:1"

        def open_backend(self):
            return Correct(spec, {}, object())

    kit = WithAStandIn()
    assert (kit.subject.name, kit.subject.stand_in) == ("correct:1", True)
    kit.test_relu()
    kit.test_the_kit_is_whole()
    with pytest.raises(SkipTest, match="open_backend is overridden"):
        kit.test_listing_lets_the_process_end()


def test_a_difference_just_above_the_tolerance_is_printed_in_digits_that_show_it():
    truth = np.zeros((1, 2, 2), np.float32)
    with pytest.raises(AssertionError) as caught:
        require_answer({"level1": truth + np.float32(0.010004)}, {"level1": truth}, Tolerance(1e-2, 1e-1), "a model")
    assert str(caught.value).splitlines()[:2] == [
        "expected: a model: level1 is within 0.01 of float64, 0.1 in the mean",
        "got: 0.010004 at most, 0.01 in the mean",
    ]


def test_a_tolerance_of_ones_own_is_used(kit_for):
    kit = kit_for("ComputesInFloat16")
    kit.tolerance = Tolerance(1.0, 1.0)
    with pytest.raises(AssertionError, match="is a float32 ndarray"):
        kit.test_relu()
    kit = kit_for("TakesBgr")
    kit.tolerance = Tolerance(9.0, 9.0)
    kit.test_convolution_and_batch_norm()


def test_what_native_code_prints_is_captured(capfd):
    with captured_stdout() as printed:
        print("from Python")
        os.write(1, b"from native code\n")
    print("afterwards")
    assert sorted(printed().splitlines()) == ["from Python", "from native code"]
    assert capfd.readouterr().out == "afterwards\n"


def test_the_golden_models_are_what_the_script_makes():
    pytest.importorskip("onnx", reason="the script needs the onnx package")
    import importlib.util

    script = MODELS.parents[2] / "benchmarks" / "conformance_models.py"
    spec = importlib.util.spec_from_file_location("conformance_models", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = module.make()
    assert {path.name for path in MODELS.iterdir()} == {f"{name}.{end}" for name in made for end in ("onnx", "npz")}
    for name, (model, arrays) in made.items():
        assert (MODELS / f"{name}.onnx").read_bytes() == model
        assert (MODELS / f"{name}.npz").read_bytes() == module.packed(arrays)
        for expected in arrays.values():
            assert np.abs(expected).max() > 0
