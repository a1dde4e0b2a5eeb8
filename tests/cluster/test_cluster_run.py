"""A run in shards, whoever does the work: here one worker in this process, given one shard at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from uadx.cluster.run import Summary, Task, run
from uadx.cluster.shards import Shard, cut
from uadx.cluster.worker import Failed, Job, Outcome, Worker
from uadx.errors import InferenceError, OutputError, UnavailableError, UsageError
from uadx.images.sources import expand
from uadx.lock import try_lock
from uadx.pipeline.config import PipelineConfig

CONFIG = PipelineConfig(device="openvino:CPU")
TABLES = ("jsonl", "parquet") if find_spec("pyarrow") else ("jsonl",)


@dataclass
class Alone:
    """A crew of one. fails: numbers of shards that it cannot do; stop: after so many it is killed."""

    fails: tuple[int, ...] = ()
    stop: int | None = None
    done: list[int] = field(default_factory=list)

    def hire(self, job: Job) -> nullcontext[Alone]:
        self.job = job
        return nullcontext(self)

    def run(self, shards: Iterator[Shard]) -> Iterator[Outcome | Failed]:
        worker = Worker(self.job, threads=2)
        for shard in shards:
            if len(self.done) == self.stop:
                raise KeyboardInterrupt
            if shard.number in self.fails:
                yield Failed(shard, InferenceError("the chip fell off"))
                continue
            self.done.append(shard.number)
            yield worker.inspect(shard)


def inspect(what: Path, output: Path | str, crew: Alone, **changes: object) -> Summary:
    task = Task(CONFIG, str(what), True, str(output), ("jsonl", "overlay"), size=2, resume=False)
    task = replace(task, **changes)  # type: ignore[arg-type]
    return run(task, expand(what), crew.hire)


def rows(output: Path) -> list[dict[str, object]]:
    lines = [line for file in sorted(output.glob("shards/*.jsonl")) for line in file.read_text().splitlines()]
    return [json.loads(line) for line in lines]


def test_the_results_are_those_of_a_run_on_one_machine(uadx, parts: Path, tmp_path: Path):
    summary = inspect(parts, tmp_path / "out", Alone())
    assert vars(summary.counts) == {"images": 4, "anomalies": 1, "errors": 1}
    uadx("run", "--input", parts, "--output", tmp_path / "alone", "--device", "openvino:CPU")
    alone = [json.loads(line) for line in (tmp_path / "alone" / "results.jsonl").read_text().splitlines()]
    together = rows(tmp_path / "out")
    for row in [*alone, *together]:
        del row["ms"]
    assert together == alone
    for picture in (tmp_path / "alone" / "overlay").rglob("*.jpg"):
        assert (tmp_path / "out" / picture.relative_to(tmp_path / "alone")).read_bytes() == picture.read_bytes()


def test_a_run_that_was_killed_goes_on_where_it_stopped(parts: Path, tmp_path: Path):
    with pytest.raises(KeyboardInterrupt):
        inspect(parts, tmp_path / "out", Alone(stop=1))
    assert json.loads((tmp_path / "out" / "run.json").read_text())["finished"] is False
    crew = Alone()
    summary = inspect(parts, tmp_path / "out", crew, resume=True)
    assert (crew.done, summary.resumed, summary.counts.images) == ([1], 2, 4)
    assert len(rows(tmp_path / "out")) == 4
    again = Alone()
    assert inspect(parts, tmp_path / "out", again, resume=True).resumed == 4
    assert again.done == []


def test_shards_that_fail_are_left_for_the_next_time(parts: Path, tmp_path: Path):
    summary = inspect(parts, tmp_path / "out", Alone(fails=(0,)))
    assert [failed.shard.number for failed in summary.failed] == [0]
    assert json.loads((tmp_path / "out" / "run.json").read_text())["finished"] is False
    crew = Alone()
    inspect(parts, tmp_path / "out", crew, resume=True)
    assert crew.done == [0]


def test_a_changed_input_is_noticed(parts: Path, tmp_path: Path):
    inspect(parts, tmp_path / "out", Alone())
    (parts / "a.png").write_bytes((parts / "b.png").read_bytes())
    with pytest.raises(UsageError, match=r"the input has changed .* first between .*a\.png and .*b\.png"):
        inspect(parts, tmp_path / "out", Alone(), resume=True)


def test_inputs_that_went_missing_are_noticed(parts: Path, tmp_path: Path):
    inspect(parts, tmp_path / "out", Alone())
    for name in ("sub/a.png", "sub/broken.png"):
        (parts / name).unlink()
    with pytest.raises(UsageError, match="inputs are missing at its end"):
        inspect(parts, tmp_path / "out", Alone(), resume=True)


def test_another_threshold_is_no_resumption(parts: Path, tmp_path: Path):
    inspect(parts, tmp_path / "out", Alone())
    with pytest.raises(UsageError, match="made with another threshold") as caught:
        inspect(parts, tmp_path / "out", Alone(), resume=True, config=CONFIG.override(threshold=1.0))
    assert caught.value.cause_text == "threshold: was None, is 1.0"


def test_what_an_older_run_left_is_taken_away_first(parts: Path, tmp_path: Path):
    inspect(parts, tmp_path / "out", Alone(), size=1)
    (tmp_path / "out" / "results.jsonl").write_text("{}\n")
    with pytest.raises(KeyboardInterrupt):
        inspect(parts, tmp_path / "out", Alone(stop=0))
    assert rows(tmp_path / "out") == []
    assert not (tmp_path / "out" / "results.jsonl").exists()


def test_one_run_writes_to_a_folder_at_a_time(parts: Path, tmp_path: Path):
    (tmp_path / "out").mkdir()
    with open(tmp_path / "out" / "run.inputs", "ab") as file:
        assert try_lock(file)
        with pytest.raises(UsageError, match="another uadx run is writing to"):
            inspect(parts, tmp_path / "out", Alone())


def test_a_worker_that_sees_another_folder_under_the_name_says_so(parts: Path, tmp_path: Path):
    class Elsewhere(Alone):
        def hire(self, job: Job) -> nullcontext[Alone]:
            return super().hire(replace(job, output=str(tmp_path / "not shared")))

    with pytest.raises(OutputError, match=r"not shared is another place on .* than where the run was started"):
        inspect(parts, tmp_path / "out", Elsewhere())


def test_a_worker_of_another_version_says_which(parts: Path, tmp_path: Path):
    class Older(Alone):
        def hire(self, job: Job) -> nullcontext[Alone]:
            return super().hire(replace(job, version="0.0.1"))

    with pytest.raises(UsageError, match=r"uadx is .* and 0\.0\.1 where the run was started"):
        inspect(parts, tmp_path / "out", Older())


def test_a_false_alarm_rate_that_cannot_be_certified_is_refused_before_any_work(parts: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="certif"):
        inspect(parts, tmp_path / "out", Alone(), config=CONFIG.override(fpr=1e-9))
    assert not (tmp_path / "out").exists()


def test_everything_can_lie_in_an_object_store(s3, parts: Path):
    import s3fs

    fs = s3fs.S3FileSystem(use_listings_cache=False)
    fs.put(f"{parts}/", "parts/in/", recursive=True)
    crew = Alone(stop=1)
    with pytest.raises(KeyboardInterrupt):
        run(_task("s3://parts/in"), expand("s3://parts/in"), crew.hire)
    summary = run(replace(_task("s3://parts/in"), resume=True), expand("s3://parts/in"), Alone().hire)
    assert (summary.resumed, summary.counts.images, summary.counts.errors) == (2, 4, 1)
    assert sorted(fs.find("parts/out/shards")) == [
        f"parts/out/shards/000000{number}.{kind}" for number in range(2) for kind in ("json", *TABLES)
    ]
    assert fs.exists("parts/out/overlay/sub/a.png.jpg")
    first = json.loads(fs.cat_file("parts/out/shards/0000000.jsonl").splitlines()[0])
    assert first["input_path"] == "s3://parts/in/a.png"


def test_a_run_notices_another_one_at_the_same_address_and_does_not_call_itself_finished(s3, parts: Path):
    class Joined(Alone):
        def run(self, shards: Iterator[Shard]) -> Iterator[Outcome | Failed]:
            results = super().run(shards)
            yield next(results)
            run(_task(str(parts)), expand(parts), Alone().hire)
            yield from results

    with pytest.raises(OutputError, match="another run has begun to write to s3://parts/out"):
        run(_task(str(parts)), expand(parts), Joined().hire)
    import s3fs

    fs = s3fs.S3FileSystem(use_listings_cache=False)
    assert json.loads(fs.cat_file("parts/out/run.json"))["counts"]["images"] == 4
    assert len(fs.find("parts/out/shards")) == 2 * len(("json", *TABLES))


def test_a_mistyped_bucket_is_not_made(s3, parts: Path):
    import s3fs

    with pytest.raises(OutputError, match="there is no s3://mistyped"):
        run(replace(_task(str(parts)), output="s3://mistyped/out"), expand(parts), Alone().hire)
    assert not s3fs.S3FileSystem(use_listings_cache=False).exists("mistyped")


def test_nothing_is_taken_away_before_the_cluster_has_answered(parts: Path, tmp_path: Path):
    inspect(parts, tmp_path / "out", Alone())

    class Gone(Alone):
        def hire(self, job: Job) -> nullcontext[Alone]:
            raise UnavailableError("no cluster")

    with pytest.raises(UnavailableError):
        inspect(parts, tmp_path / "out", Gone())
    assert len(rows(tmp_path / "out")) == 4
    assert inspect(parts, tmp_path / "out", Gone(), resume=True).resumed == 4  # which takes no cluster


def test_a_run_on_one_machine_and_one_on_many_do_not_leave_each_others_results(uadx, parts: Path, tmp_path: Path):
    inspect(parts, tmp_path / "out", Alone())
    given = ("run", "--input", parts, "--output", tmp_path / "out", "--device", "openvino:CPU")
    refused = uadx(*given, "--resume")
    assert refused.code == 2
    assert "was made with another engine\n" in refused.err
    assert uadx(*given, "--format", ",".join(TABLES)).code == 8
    assert rows(tmp_path / "out") == []
    inspect(parts, tmp_path / "out", Alone())
    assert not (tmp_path / "out" / "results.parquet").exists()


def _task(what: str) -> Task:
    return Task(CONFIG, what, True, "s3://parts/out", ("overlay", *TABLES), size=2, resume=False)


def test_shards_are_the_input_in_its_order(parts: Path):
    shards = list(cut(expand(parts), 3))
    assert [[source.label for source in shard.sources] for shard in shards] == [
        [f"{parts}/a.png", f"{parts}/b.png", f"{parts}/sub/a.png"],
        [f"{parts}/sub/broken.png"],
    ]
    assert [shard.name for shard in shards] == ["0000000", "0000001"]
    assert shards == list(cut(expand(parts), 3))
