"""How `uadx serve` is to serve, beside how the pipeline inspects."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Settings:
    """max_delay: seconds that an image waits for others to fill its batch. queue: images that may wait or be under way,
    all requests together. max_body: bytes of one request. per_client: images of one address that may be under way;
    None: as many as the queue takes. body_timeout: seconds in which a request must have come. allow_url: hosts, with
    or without a port, from which images may be fetched. allow_hosts: names that a request may call this server by;
    empty: any. drain: seconds for what is under way when the server is stopped. label_map, visualize: whether PaddleX's
    answer has its `labelMap`, and its picture, where the request does not say. model_name: what the Open Inference
    Protocol calls the model; None: the bundle's own name."""

    max_delay: float = 0.002
    queue: int = 64
    max_body: int = 64 << 20
    per_client: int | None = None
    body_timeout: float = 30.0
    allow_url: tuple[str, ...] = ()
    allow_hosts: tuple[str, ...] = ()
    api_key: str | None = field(default=None, repr=False)
    admin_key: str | None = field(default=None, repr=False)
    drain: float = 60.0
    label_map: bool = True
    visualize: bool = True
    model_name: str | None = None
