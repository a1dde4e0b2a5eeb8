"""What Paddle's errors mean, and what to do about the usual ones. It has kinds of errors and no numbers."""

from __future__ import annotations

import re

_SUMMARY = "Error Message Summary:"
_TRACED = "In transformed code:"

_CPU_BUILD = (
    "install Paddle's build for the card: python -m pip install paddlepaddle-xpu "
    "-i https://www.paddlepaddle.org.cn/packages/stable/xpu-p800/"
)
_MEMORY = "the card's memory is full: use smaller batches (--batch-size 1), or end what else uses it (`xpu-smi`)"
_NO_CARD = (
    "no card, no driver or no permission: see `lspci -d 1d22:`, `lsmod | grep kunlun` and the rights on /dev/xpu* "
    "(in a container, pass /dev/xpu0 and /dev/xpuctrl through)"
)
_DEVICE = "see `xpu-smi` and /proc/kunlun/dev0/state, which should say NORMAL; an administrator can reset the card"

_ADVICE = {
    "WITH_XPU": _CPU_BUILD,
    "built for the CPU alone": _CPU_BUILD,
    "Out of memory error on XPU": _MEMORY,
    "ResourceExhausted": _MEMORY,
    "id must less than XPU count": "XPU_VISIBLE_DEVICES renumbers the cards from 0: see `uadx devices xpu`",
    "Device abnormal due to previous error": _DEVICE,
    "Initialize default context for dev": _NO_CARD,
    "properly installed": _NO_CARD,
    "counts no card": _NO_CARD,
    "libxpu": "the card's runtime library is not found: install XRE, or mount it into the container",
}


class SdkError(Exception):
    """A call of Paddle that failed. code: Paddle's kind of error, such as "PreconditionNotMet", or "".

    call: its name; text: Paddle's own words, without the stack that it puts before them.
    """

    def __init__(self, code: str, call: str, text: str) -> None:
        super().__init__(code, call, text)
        self.code, self.call, self.text = code, call, text

    def __str__(self) -> str:
        return f"{self.call}: {self.text}"


def from_paddle(call: str, error: BaseException) -> SdkError:
    """What a call raised, in Paddle's words."""
    text = str(error).rpartition(_SUMMARY)[2].strip(" -\n") or type(error).__name__
    if text.startswith(_TRACED):  # and then a listing of the builder's source
        text = text.rstrip().rpartition("\n")[2].strip()
    kind = re.match(r"\(?(\w+?)(?:Error:|\))", text)
    return SdkError(kind.group(1) if kind else "", call, text)


def advice_on(text: str) -> str | None:
    """What to do about an error with these words, None where nothing is known."""
    return next((advice for words, advice in _ADVICE.items() if words in text), None)
