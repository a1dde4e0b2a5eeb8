"""Inspection over HTTP: PaddleX's API, uadx's own and the Open Inference Protocol, over the pipeline of `uadx run`.

Imported by `uadx serve` alone; needs the extra `serve`.
"""
