"""Two thousand broken requests: each is refused, none is remembered, and the next good one has its answer."""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from serve.broken import Breaker
from serve.conftest import PATIENCE

SEED = 20_240_601
REQUESTS, WARM_UP, BLOCK, DAMAGED = 2_000, 1_000, 250, 150
LEAK = 3 << 10
"""Bytes a request that would be seen."""
CONNECTIONS = 6


def resident(process):
    """Bytes of memory that a process has."""
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def answers(url, posts):
    """What each of some requests has for an answer, in their order, over several connections."""
    clients = [httpx.Client(base_url=url, timeout=PATIENCE, headers={"X-API-Key": "boss"}) for _ in range(CONNECTIONS)]

    def ask(at):
        post = posts[at]
        headers = {name: value.encode("latin-1") for name, value in post.headers.items()}
        return clients[at % CONNECTIONS].post(post.path, content=post.content, headers=headers)

    def some(first):
        return {at: ask(at) for at in range(first, len(posts), CONNECTIONS)}

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        found = {at: answer for part in pool.map(some, range(CONNECTIONS)) for at, answer in part.items()}
    for client in clients:
        client.close()
    return [found[at] for at in range(len(posts))]


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc, which is not here")
def test_broken_requests_are_refused_and_forgotten(start, good_image):
    # one arena and no threshold that grows: what the process has is then what it holds
    quiet = {"MALLOC_ARENA_MAX": "1", "MALLOC_TRIM_THRESHOLD_": "131072", "MALLOC_MMAP_THRESHOLD_": "131072"}
    server = start("--admin-key", "boss", **quiet)
    model = httpx.get(f"{server.url}/v1/model").json()
    breaker = Breaker(SEED, good_image.read_bytes(), (model["name"], model["sha256"][:12]))

    def refused(count):
        held = []
        for _ in range(0, count, BLOCK):
            posts = [breaker.request() for _ in range(BLOCK)]
            for post, answer in zip(posts, answers(server.url, posts), strict=True):
                shown = (post.path[:80], post.headers, post.content[:80], answer.text[:300])
                assert 400 <= answer.status_code < 500, shown
                assert answer.headers["content-type"] == "application/json", shown
                assert "Traceback" not in answer.text, shown
                seen[answer.status_code] += 1
            held.append(resident(server.process))
        return min(held[-3:])  # what it has at rest: now and then it has more, and gives that back

    seen = Counter()
    before = refused(WARM_UP)
    seen.clear()
    after = refused(REQUESTS)
    assert sum(seen.values()) == REQUESTS
    assert {400, 413, 415, 422} <= seen.keys()
    assert after - before < LEAK * REQUESTS, f"{(after - before) / REQUESTS / 1024:.1f} kB a request"
    damaged = answers(server.url, [breaker.damaged() for _ in range(DAMAGED)])
    assert {answer.status_code for answer in damaged} <= {200, 400, 413, 415, 422}
    good = httpx.post(f"{server.url}/v1/inspect", content=good_image.read_bytes(), timeout=PATIENCE)
    assert good.json()["results"][0]["is_anomaly"] is False
