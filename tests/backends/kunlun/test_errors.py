"""Paddle's errors: its own words without the stack before them, its kind of error, and what to do."""

from __future__ import annotations

import pytest
from uadx_kunlun import uadx_explain_failure
from uadx_kunlun.errors import SdkError, advice_on, from_paddle

from uadx.errors import InferenceError

# recorded from paddlepaddle 3.3.1, the stack shortened
WITHOUT_XPU = """

--------------------------------------
C++ Traceback (most recent call last):
--------------------------------------
0   paddle::AnalysisConfig::EnableXpu(...)

----------------------
Error Message Summary:
----------------------
PreconditionNotMetError: To use XPU inference, please compile with option 'WITH_XPU' or 'LITE_WITH_XPU' first.
  [Hint: Expected false == true] (at /paddle/paddle/fluid/inference/api/analysis_config.cc:240)
"""


def test_the_words_are_those_after_the_summary():
    error = from_paddle("paddle.inference.Config.enable_xpu", RuntimeError(WITHOUT_XPU))
    assert error.code == "PreconditionNotMet"
    assert error.call == "paddle.inference.Config.enable_xpu"
    assert error.text.startswith("PreconditionNotMetError: To use XPU inference, please compile with option")
    assert "Traceback" not in str(error)
    assert "paddlepaddle-xpu" in advice_on(str(error))


@pytest.mark.parametrize(
    ("raised", "code", "text"),
    [
        (ValueError("(InvalidArgument) id must less than XPU count"), "InvalidArgument",
         "(InvalidArgument) id must less than XPU count"),
        (TypeError(), "", "TypeError"),
        (RuntimeError("In transformed code:\n\n    File x\n    y = z\n\n    ValueError: shapes differ"), "Value",
         "ValueError: shapes differ"),
    ],
)  # fmt: skip
def test_other_shapes_of_its_errors_are_read_too(raised, code, text):
    error = from_paddle("call", raised)
    assert (error.code, error.text) == (code, text)


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("Out of memory error on XPU 0", "use smaller batches"),
        ("(ResourceExhausted) x", "use smaller batches"),
        ("id must less than XPU count", "XPU_VISIBLE_DEVICES renumbers the cards"),
        ("XPU Error <713>, Device abnormal due to previous error", "/proc/kunlun/dev0/state"),
        ("Initialize default context for dev -1 fail", "lspci -d 1d22:"),
        ("libxpurt.so: cannot open shared object file", "install XRE"),
    ],
)
def test_the_usual_ones_come_with_advice(words, advice):
    assert advice in uadx_explain_failure("kunlun", InferenceError("failed", cause_text=words))


def test_an_unknown_error_has_no_advice():
    assert uadx_explain_failure("kunlun", SdkError("", "call", "something new")) is None
