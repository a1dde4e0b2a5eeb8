"""What CANN's return codes and words mean, and what to do about the usual ones.

The codes are those of acl_base.h, rt_error_codes.h and ge_error_codes.h of CANN; their first digit is their class.
"""

from __future__ import annotations

import re

LOGS = "CANN's own log says more: ~/ascend/log/debug/plog"

_CLASSES = {1: "caller", 2: "resource", 3: "business", 5: "internal"}

_DEVICE_CALLS = {
    "acl.init",
    "acl.rt.get_device_count",
    "acl.rt.set_device",
    "acl.rt.create_context",
    "acl.rt.get_device",
    "acl.rt.get_run_mode",
}

_MEMORY = "the card's memory is full: use smaller batches (--batch-size 1), or end what else uses it (`npu-smi info`)"
_DRIVER = "the driver is not there: install it, or mount /usr/local/Ascend/driver/lib64 into the container"
_INDEX = (
    "indices count from 0 among the cards that ASCEND_RT_VISIBLE_DEVICES lists, also in a container; the variable "
    "holds numbers in ascending order"
)
_LOST = f"the card stopped answering: see `npu-smi info` and dmesg, and reset it or restart; {LOGS}"
_OTHER_SOC = "this CANN does not know the card: update the CANN toolkit to one that does"
_REBUILD = "the file is not an .om that this CANN reads: convert it again with its atc"

_BY_CODE = {
    100003: _REBUILD,
    107001: _INDEX,
    145002: _REBUILD,
    200000: _MEMORY,
    207001: _MEMORY,
    207004: _INDEX,
    207006: "add the user to the group of /dev/davinci0, such as HwHiAiUser, and log in again",
    245000: _MEMORY,
    507008: _OTHER_SOC,
    507010: _LOST,
    507011: _LOST,
    507033: f"driver, firmware and CANN must be of versions that belong together, and the user in the group of "
    f"/dev/davinci0; {LOGS}",
    507899: f"the driver failed: see dmesg and `npu-smi info`; {LOGS}",
}

_BY_WORDS = {
    "libascend_hal.so": _DRIVER,
    "libdcmi.so": _DRIVER,
    "cannot open shared object file": "run `source /usr/local/Ascend/ascend-toolkit/set_env.sh` in this shell first",
    "ascending order": _INDEX,
    "E19010": "the model has an operator that this CANN does not know: update the CANN toolkit",
    "E16005": "the model file imports several operator sets, and atc takes one: use the bundle's own stfpm.onnx",
    "E10001": "see the names that atc takes for --soc_version: `npu-smi info` shows the card's, after `Ascend`",
}


class SdkError(Exception):
    """A pyACL call that failed. code: what it returned; call: its name; text: CANN's own words, may be empty."""

    def __init__(self, code: int, call: str, text: str) -> None:
        super().__init__(code, call, text)
        self.code, self.call, self.text = code, call, text.strip()

    @property
    def kind(self) -> str:
        """Whose fault it is by CANN's classes: caller, resource, business or internal."""
        return _CLASSES.get(self.code // 100000, "unknown")

    @property
    def concerns_device(self) -> bool:
        """Whether no device could be had, rather than a model loaded or run."""
        return self.call in _DEVICE_CALLS

    def __str__(self) -> str:
        return f"{self.call} returned {self.code} ({self.kind} error)" + f"\n{self.text}" * bool(self.text)


def advice_on(text: str) -> str | None:
    """What to do about an error with these words, which may hold a return code; None where nothing is known."""
    for words, advice in _BY_WORDS.items():
        if words in text:
            return advice
    codes = map(int, re.findall(r"\b[1-5]\d{5}\b", text))
    return next((_BY_CODE[code] for code in codes if code in _BY_CODE), None)
