"""The torch network, the loss and the training loop; skipped where torch is not installed."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'uadx[torch]'")

from uadx.stfpm import reference  # noqa: E402
from uadx.stfpm.difficulty import Difficulty, DifficultyFit  # noqa: E402
from uadx.stfpm.network import Student, Trunk, normalise_pixels, normalised_distance  # noqa: E402
from uadx.stfpm.training import Recipe, Trainer, hard_loss  # noqa: E402
from uadx.stfpm.weights import CHANNELS, unfold  # noqa: E402

RECIPE = Recipe(epochs=3, batch_size=4, seed=1)
NONE = [Difficulty.none(count) for count in CHANNELS]


@pytest.fixture(scope="module")
def teacher():
    torch.manual_seed(7)
    return Trunk().folded()


@pytest.fixture(scope="module")
def images():
    stripes = np.random.default_rng(0).integers(0, 256, (10, 1, 64, 3), np.uint8)
    return np.repeat(stripes, 64, axis=1)


def trainer(images, teacher, recipe=RECIPE):
    return Trainer(images[:8], np.full((8, 2), 64), teacher, recipe)


def test_the_torch_networks_are_the_reference_networks(teacher, images):
    torch.manual_seed(8)
    student = Student().eval()
    first = Trunk().eval()
    first.load(unfold(teacher))
    expected = reference.level_maps(images[:2], teacher, student.folded(), NONE)
    with torch.no_grad():
        pixels = normalise_pixels(torch.from_numpy(images[:2]))
        for (name, value), t, s in zip(expected.items(), first(pixels), student(first.stem(pixels)), strict=True):
            np.testing.assert_allclose(normalised_distance(t, s).numpy(), value, atol=2e-6, err_msg=name)


def test_the_loss_is_the_mean_of_each_images_hardest_positions_summed_over_levels():
    level1 = torch.arange(2 * 100, dtype=torch.float32).reshape(2, 10, 10)
    level2 = torch.ones(2, 2, 2)
    expected = (np.mean(range(90, 100)) + np.mean(range(190, 200))) / 2 + 1
    assert hard_loss([level1, level2], torch.ones(2, 2), 0.1).item() == pytest.approx(expected)


def test_positions_beyond_the_picture_do_not_count():
    level = torch.zeros(2, 8, 8)
    level[:, :4] = 1.0
    level[0, 4:] = level[1, :, 2:] = 99.0
    shown = torch.tensor([[0.5, 1.0], [0.45, 0.25]])  # 4 of 8 rows; 3.6 of 8 rows and 2 of 8 columns
    assert hard_loss([level], shown, 1.0).item() == pytest.approx(1.0)


def test_training_brings_the_student_nearer_to_the_teacher(images, teacher, tmp_path):
    epochs = list(trainer(images, teacher, Recipe(epochs=20, batch_size=4)).run(tmp_path / "checkpoint"))
    assert epochs[-1].loss < 0.7 * epochs[0].loss


def test_the_teacher_does_not_change(images, teacher, tmp_path):
    run = trainer(images, teacher)
    before = run.teacher.compute(images)
    list(run.run(tmp_path / "checkpoint"))
    for then, now in zip(before, run.teacher.compute(images), strict=True):
        torch.testing.assert_close(now, then, rtol=0, atol=0)


def test_features_that_are_kept_are_those_that_the_teacher_gives(images, teacher, monkeypatch):
    features = trainer(images, teacher).teacher
    computed = features.of(np.array([5, 1]))
    features.keep()
    monkeypatch.setattr(features, "compute", None)
    for kept, level in zip(features.of(np.array([5, 1])), computed, strict=True):
        torch.testing.assert_close(kept, level, rtol=0.02, atol=0.02)  # bfloat16 in another batch


def test_features_that_have_no_room_are_computed_each_time(images, teacher, monkeypatch):
    monkeypatch.setattr("uadx.stfpm.teacher_features.ROOM", 8 * 4096)
    features = trainer(images, teacher).teacher
    features.keep()
    monkeypatch.setattr(features, "compute", lambda chosen: ["computed"])
    assert features.of(np.array([0])) == ["computed"]


def test_the_same_seed_gives_the_same_student_and_another_seed_another(images, teacher, tmp_path):
    students = []
    for recipe in (RECIPE, RECIPE, Recipe(epochs=3, batch_size=4, seed=2)):
        run = trainer(images, teacher, recipe)
        list(run.run(tmp_path / "checkpoint"))
        students.append(run.student_weights())
    first, again, other = students
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["layer1.0.conv1.weight"], other["layer1.0.conv1.weight"])


def test_the_difficulties_take_off_what_is_far_on_all_good_images(images, teacher, tmp_path):
    training = trainer(images, teacher)
    list(training.run(tmp_path / "state"))
    student = training.student_weights()
    plain = reference.level_maps(images[:8], teacher, student, NONE)
    rest = reference.level_maps(images[:8], teacher, student, training.difficulties())
    for level, distance in plain.items():
        assert rest[level].std() < 0.95 * distance.std()  # of so few images little is believed
        assert rest[level].mean() == pytest.approx(distance.mean(), rel=0.1)


def test_difficulties_come_from_the_part_that_shows_the_image(images, teacher, tmp_path, monkeypatch):
    counts = []

    class Counting(DifficultyFit):
        def add(self, features, distances, images):
            counts.append((len(features), images))
            super().add(features, distances, images)

    monkeypatch.setattr("uadx.stfpm.training.DifficultyFit", Counting)
    monkeypatch.setattr("uadx.stfpm.training.MEASURED", 5)
    monkeypatch.setattr("uadx.stfpm.training.BATCH", 3)
    training = Trainer(images[:8], np.full((8, 2), (32, 64)), teacher, Recipe(epochs=1, batch_size=4))
    list(training.run(tmp_path / "state"))
    training.difficulties()
    halves = [side * side // 2 for side in (16, 8, 4)]
    assert counts == [(some * half, some) for some in (3, 2) for half in halves]


def test_an_unfinished_training_has_neither_student_nor_difficulties(images, teacher):
    for part in (trainer(images, teacher).student_weights, trainer(images, teacher).difficulties):
        with pytest.raises(RuntimeError, match="the training is at epoch 0 of 3"):
            part()


def test_a_training_taken_up_from_its_checkpoint_ends_as_if_it_had_never_stopped(images, teacher, tmp_path):
    whole = trainer(images, teacher)
    list(whole.run(tmp_path / "whole"))
    killed = trainer(images, teacher)
    next(killed.run(tmp_path / "killed"))
    resumed = trainer(images, teacher)
    assert resumed.restore(tmp_path / "killed")
    assert [epoch.number for epoch in resumed.run(tmp_path / "killed")] == [2, 3]
    for name, value in whole.student_weights().items():
        np.testing.assert_array_equal(resumed.student_weights()[name], value, err_msg=name)
    for one, again in zip(whole.difficulties(), resumed.difficulties(), strict=True):
        np.testing.assert_array_equal(again.weight, one.weight)


def test_a_checkpoint_of_another_recipe_is_not_taken_up(images, teacher, tmp_path):
    run = trainer(images, teacher)
    next(run.run(tmp_path / "checkpoint"))
    assert not trainer(images, teacher, Recipe(epochs=4, batch_size=4)).restore(tmp_path / "checkpoint")


def test_half_of_the_images_reach_the_student_with_drawn_defects_and_the_teacher_clean(images, teacher):
    run = trainer(images, teacher, Recipe(epochs=1, batch_size=4))
    drawn = [run_ for _ in range(10) for run_ in _pass(run)]
    changed = np.concatenate([(seen != images[chosen]).any(axis=(1, 2, 3)) for chosen, seen in drawn])
    assert 0.25 < changed.mean() < 0.65  # some defects are drawn beyond what can be seen


def _pass(run):
    run.epoch += 1
    return list(run._batches(np.random.default_rng(run.epoch).permutation(8)))
