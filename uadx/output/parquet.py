"""results.parquet: one row an image, with types, for data frames and warehouses.

Source: https://arrow.apache.org/docs/python/parquet.html. The nested device and model are flat here, and what timing
says of this run (`ms`) is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from uadx.errors import UnavailableError

ROWS = 10_000
"""In a row group, and in memory."""
_SCALARS = ("input_path", "score", "threshold", "pixel_threshold", "is_anomaly", "p_value", "unfamiliar", "windows")
_DEVICE = ("requested", "used", "backend", "precision", "simulated", "fallback_reason")


def check_parquet() -> None:
    """Raises UnavailableError where the package is missing, before anything is inspected for it."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise UnavailableError(
            "the format 'parquet' takes the package 'pyarrow', which is not installed",
            hint="python -m pip install 'uadx[parquet]'",
            cause_text=str(error),
        ) from error


@contextmanager
def parquet_table(file: BinaryIO) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Yields what adds a row, given a result's JSON fields."""
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    schema = _schema(pyarrow)
    rows: list[dict[str, Any]] = []
    with ParquetWriter(file, schema) as writer:

        def flush() -> None:
            writer.write_table(pyarrow.Table.from_pylist(rows, schema=schema))
            rows.clear()

        def add(fields: dict[str, Any]) -> None:
            rows.append(_row(fields))
            if len(rows) == ROWS:
                flush()

        yield add
        if rows:
            flush()


def _schema(pyarrow: Any) -> Any:
    text, number, yes = pyarrow.string(), pyarrow.float64(), pyarrow.bool_()
    pair = pyarrow.list_(pyarrow.int32())
    region = pyarrow.struct([("bbox", pair), ("area", pyarrow.int64()), ("peak", pair), ("score", number)])
    return pyarrow.schema(
        [
            pyarrow.field("input_path", text, nullable=False),
            ("frame", pyarrow.int64()),
            ("time_s", number),
            ("captured_at", text),
            ("height", pyarrow.int32()),
            ("width", pyarrow.int32()),
            ("score", number),
            ("threshold", number),
            ("pixel_threshold", number),
            ("is_anomaly", yes),
            ("p_value", number),
            ("unfamiliar", yes),
            ("windows", pyarrow.int32()),
            ("regions", pyarrow.list_(region)),
            ("model", text),
            ("model_sha256", text),
            *((f"device_{name}", yes if name == "simulated" else text) for name in _DEVICE),
            ("error_type", text),
            ("error_message", text),
        ]
    )


def _row(fields: dict[str, Any]) -> dict[str, Any]:
    height, width = fields["image_size"] or (None, None)
    frame, error = fields.get("frame") or {}, fields["error"] or {}
    return {
        **{name: fields[name] for name in _SCALARS},
        "input_path": fields["input_path"].encode("utf-8", "backslashreplace").decode(),
        "frame": frame.get("index"),
        "time_s": frame.get("time_s"),
        "captured_at": frame.get("captured_at"),
        "height": height,
        "width": width,
        "regions": fields["regions"],
        "model": fields["model"]["name"],
        "model_sha256": fields["model"]["sha256"],
        **{f"device_{name}": fields["device"].get(name) for name in _DEVICE},
        "error_type": error.get("type"),
        "error_message": error.get("message"),
    }
