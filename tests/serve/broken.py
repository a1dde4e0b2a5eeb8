"""Requests that are broken, drawn from a seed: each must be the client's fault, whatever it is."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from dataclasses import dataclass, field

import cv2
import numpy as np

RAW = "application/octet-stream"
JSON = "application/json"
FORM = "multipart/form-data; boundary=edge"
PADDLEX = ("/anomaly-detection", "/image-anomaly-detection")
MAGIC = (
    b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", b"II*\x00", b"MM\x00*", b"II+\x00\x08\x00\x00\x00",
    b"RIFF\x00\x00\x01\x00WEBPVP8 ", b"RIFF\xff\xff\xff\xffWEBPVP8X", b"GIF89a", b"BM", b"#?RADIANCE\n", b"v/1\x01",
    b"\x00\x00\x00\x0cjP  \r\n\x87\n", b"P6\n", b"P5 999999 999999 255\n", b"\x00\x00\x00 ftypavif", b"PK\x03\x04",
    b"\x1f\x8b\x08\x00", b"%PDF-1.7\n", b"<svg>", b"\xef\xbb\xbf", b"\x00asm", b"\xff\x0a", b"qoif",
)  # fmt: skip


@dataclass
class Post:
    """One request to be."""

    path: str
    content: bytes
    headers: dict[str, str] = field(default_factory=dict)


def png_of(width, height, pixels, depth=8, colours=2):
    """A PNG by hand, whose pixels need not be what its head says."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0)
    return MAGIC[0] + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(pixels, 9)) + chunk(b"IEND", b"")


def bombs():
    """Pictures that are small as files and would be gigabytes in memory."""
    zeros = bytes(30_000_000)
    return [
        png_of(100_000, 100_000, zeros),
        png_of(2**31 - 1, 2**31 - 1, b"\x00"),
        png_of(2**32 - 1, 1, b"\x00"),
        png_of(20_000, 20_000, zeros, depth=16, colours=6),
        png_of(0, 300, b"\x00"),
        b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0),
        b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0) + b",\x00\x00\x00\x00\xff\xff\xff\xff\x00\x02\x00;",
        b"II*\x00\x08\x00\x00\x00" + struct.pack("<H", 3) + b"".join(
            struct.pack("<HHII", tag, 4, 1, value) for tag, value in ((256, 2**31), (257, 2**31), (278, 1))
        ) + struct.pack("<I", 8),  # the next page is this one
    ]  # fmt: skip


class Breaker:
    """Draws broken requests. good: a PNG that can be inspected; model: name and version of the one that is served."""

    def __init__(self, seed, good, model):
        self._draw = np.random.default_rng(seed)
        self._infer = (f"/v2/models/{model[0]}/infer", f"/v2/models/{model[0]}/versions/{model[1]}/infer")
        picture = cv2.imdecode(np.frombuffer(good, np.uint8), cv2.IMREAD_COLOR)
        self._whole = [good, *(cv2.imencode(kind, picture)[1].tobytes() for kind in (".jpg", ".webp", ".tiff", ".bmp"))]
        self._bombs = bombs()
        self._ways = (
            self._raw, self._form, self._as_json, self._as_paddlex, self._as_tensor, self._as_binary_tensor,
            self._no_json, self._other_json, self._no_form, self._wrong_type, self._odd_query, self._other_model,
        )  # fmt: skip

    def request(self):
        """The next."""
        post = self._of(self._ways)()
        if self._chance(0.1):
            post.headers["X-Request-ID"] = self._of(["\x7f" * 10, "a" * 5000, "../../x", "%0d%0a", "'; --"])
        if self._chance(0.1):
            post.headers["Accept"] = self._of(["image/png", "*/*;q=x", "," * 500])
        return post

    def damaged(self):
        """A picture in which some bytes are others: it may still be one, and then has an answer."""
        data = bytearray(self._of(self._whole))
        for at in self._draw.integers(8, len(data), 1 + self._draw.integers(20)):
            data[at] = self._draw.integers(256)
        return Post("/v1/inspect", bytes(data), {"Content-Type": RAW})

    def _of(self, several):
        return several[self._draw.integers(len(several))]

    def _chance(self, share):
        return self._draw.random() < share

    def _noise(self, most):
        return self._draw.bytes(int(self._draw.integers(1, most)))

    def _picture(self):
        """What is no whole picture."""
        whole = self._of(self._whole)
        return self._of(
            [
                lambda: whole[: self._draw.integers(1, int(0.9 * len(whole)))],
                lambda: self._of(MAGIC) + self._noise(3000),
                lambda: self._noise(3000),
                lambda: self._of(self._bombs),
                lambda: self._of(["", "no picture", "<html></html>", "☃" * 50]).encode("utf-16"),
            ]
        )()

    def _text(self):
        """What is no picture as base64."""
        return self._of(
            [
                lambda: base64.b64encode(self._picture()).decode(),
                lambda: base64.b64encode(self._whole[0]).decode()[: 4 * self._draw.integers(1, 500) + 1],
                lambda: "data:image/png;base64," + "!" * 20,
                lambda: self._of(["", " ", "/etc/passwd", "file:///etc/passwd", "ftp://a/b", "\0", "==", "☃"]),
                lambda: self._of(["http://127.0.0.1/", "HTTP://[::1]:80/x", "https://user@a.example", "http://"]),
            ]
        )()

    def _value(self):
        return self._of([None, True, -1, 10**30, 1e308, "", "x" * 100, [], {}, [[]], {"a": 1}, [None], ["x", 1], "☃"])

    def _raw(self):
        return Post(
            "/v1/inspect", self._picture(), {"Content-Type": self._of([RAW, "image/png", "image/x", "IMAGE/PNG"])}
        )

    def _form(self):
        name = self._of(["a.png", "../../etc/passwd", "x" * 3000, '"', "\x00", "☃"])
        head = f'--edge\r\nContent-Disposition: form-data; name="f"; filename="{name}"\r\n\r\n'.encode()
        return Post("/v1/inspect", head + self._picture() + b"\r\n--edge--\r\n", {"Content-Type": FORM})

    def _as_json(self):
        return Post("/v1/inspect", json.dumps({"image": self._text()}).encode(), {"Content-Type": JSON})

    def _as_paddlex(self):
        body = {"image": self._text(), "visualize": self._of([None, True, False]), "more": self._value()}
        return Post(self._of(PADDLEX), json.dumps(body).encode(), {"Content-Type": JSON})

    def _as_tensor(self):
        count = int(self._draw.integers(1, 4))
        texts = [self._text() for _ in range(count)]
        tensor = {"name": "image", "shape": [count], "datatype": "BYTES", "data": texts}
        if self._chance(0.5):
            tensor[self._of([*tensor])] = self._value()
        return Post(self._of(self._infer), json.dumps({"inputs": [tensor] * self._draw.integers(3)}).encode())

    def _as_binary_tensor(self):
        picture = self._picture()
        data = struct.pack("<I", self._of([len(picture), 0, 2**32 - 1, 5])) + picture
        size = self._of([len(data), 0, -1, 2**70, None, "9"])
        tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": size}}
        head = json.dumps({"inputs": [tensor]}).encode()
        length = self._of([str(len(head)), "0", "-1", "9" * 5000, "\xb2", "1e3", str(len(head) - 1), ""])
        return Post(self._of(self._infer), head + data, {"Inference-Header-Content-Length": length})

    def _no_json(self):
        whole = json.dumps({"image": "aGk=", "images": None}).encode()
        deep = int(self._draw.integers(10, 100_000))
        content = self._of(
            [
                whole[: self._draw.integers(0, len(whole))], b"[" * deep, b'{"image":' * deep, b'{"a":' + b"[" * deep,
                b'{"image": "\xff\xfe"}', b'{"image": "\\ud800"}', b'{"image": "\\x"}', b"NaN", b'{"threshold": 1e999}',
                whole + whole, whole.decode().encode("utf-16"), b"\xef\xbb\xbf", self._noise(500), b"{'image': 1}",
            ]
        )  # fmt: skip
        return Post(self._of(["/v1/inspect", "/v1/model", *PADDLEX, *self._infer]), content, {"Content-Type": JSON})

    def _other_json(self):
        body = {self._of(["image", "images", "threshold", "fpr", "inputs", "path", "x" * 1000, ""]): self._value()}
        if body == {"path": None}:
            body = [body]
        if self._chance(0.2):
            body = self._value()
        return Post(
            self._of(["/v1/inspect", *PADDLEX, *self._infer]), json.dumps(body).encode(), {"Content-Type": JSON}
        )

    def _no_form(self):
        whole = b'--edge\r\nContent-Disposition: form-data; name="f"\r\n\r\nno file\r\n--edge--\r\n'
        content = self._of(
            [
                whole, whole[: self._draw.integers(len(whole))], whole.replace(b'name="f"', b""), b"--edge\r\n" * 300,
                whole.replace(b"\r\n", b"\n"), b"--edge\r\n" + b"X" * 50_000, b"--edge\r\n" + b"a: b\r\n" * 5000,
                whole.replace(b"form-data", self._noise(50)), self._noise(500), b"--edge--\r\n", b"\r\n",
                b"--edge\r\nContent-Disposition: form-data; name=f\r\n\r\n" + bytes(2_000_000) + b"\r\n--edge--\r\n",
            ]
        )  # fmt: skip
        stated = self._of(
            [
                FORM, FORM + "; charset=undefined", FORM + "; charset=zlib", "multipart/form-data",
                "multipart/form-data; boundary=", "multipart/form-data; boundary=" + "x" * 5000, FORM.upper(),
                'multipart/form-data; boundary="', "multipart/form-data; boundary=\xff", FORM + "; boundary=other",
            ]
        )  # fmt: skip
        return Post("/v1/inspect", content, {"Content-Type": stated})

    def _wrong_type(self):
        stated = self._of(["text/html", "application/xml", "multipart/mixed", "x" * 3000, "/", "\xff", "application/x"])
        path = self._of(["/v1/inspect", *PADDLEX, "/v1/model"])
        return Post(path, self._of([b"{}", self._whole[0], b"", self._noise(100)]), {"Content-Type": stated})

    def _odd_query(self):
        query = self._of(
            [
                "threshold=nan", "threshold=1&fpr=0.1", "fpr=0", "fpr=1e-300", "threshold=", "fpr=x", "threshold=1e999",
                "threshold=" + "9" * 5000, "fpr=%00", "threshold=%ff%fe", "fpr=0.1" + "0" * 9000 + "x",
                "threshold=x" + "&threshold=x" * 2000, "fpr=-inf", "threshold=0x10", "threshold=☃",
            ]
        )  # fmt: skip
        return Post(f"/v1/inspect?{query}", self._whole[0], {"Content-Type": RAW})

    def _other_model(self):
        path = self._of(
            ["../../etc", "\0", "/dev/zero", "x" * 5000, "", ".", "~", "/proc/self/mem", "http://a/b", "\\\\a\\b"]
        )
        body = self._of([{"path": path}, {"path": self._of([1, [], {}])}, {"other": path}, [path]])
        return Post("/v1/model", json.dumps(body).encode(), {"Content-Type": JSON})
