"""Does the kit notice? Backends that are wrong in one thing each, and the checks that are there to say so."""

import pytest

from uadx.errors import PluginError
from uadx.testing import BackendConformance
from uadx.testing.runner import run
from uadx.testing.suite import GROUPS

KILLED_BY = {
    # hygiene
    "ImportsItsSdk": ["the_plugin_module_imports_no_sdk"],
    "ImportsSlowly": ["the_plugin_module_imports_quickly"],
    "CopiesTheApiVersion": ["the_api_version_is_a_literal"],
    "HasNoInstallHint": ["the_spec_is_filled"],
    "NamesAnotherFactory": ["the_factory_is_a_backend"],
    # listing
    "ListsOneSelectorTwice": ["devices_are_described"],
    "ListsAKindThatItsSpecLacks": ["devices_are_described"],
    "ListsAPrecisionByAnotherName": ["devices_are_described"],
    "ListsOtherDevices": ["the_device_is_listed"],
    "ListsAnotherNameEachTime": ["listing_twice_is_the_same"],
    "SetsAnEnvironmentVariable": ["listing_leaves_the_environment_alone"],
    "KeepsTheProcessAlive": ["listing_lets_the_process_end"],
    "HasANumberForAVersion": ["versions_are_text"],
    # errors
    "OpensAnotherDevice": ["an_unknown_device_is_unavailable"],
    "RaisesABareException": ["a_corrupt_model_is_a_compile_error", "a_truncated_model_is_a_compile_error"],
    "KeepsTheCauseToItself": ["a_corrupt_model_is_a_compile_error", "a_truncated_model_is_a_compile_error"],
    "TakesAnyDtype": ["a_wrong_dtype_is_an_inference_error"],
    "TakesAnyShape": ["a_wrong_shape_is_an_inference_error"],
    "TakesAnyName": ["a_wrong_name_is_an_inference_error"],
    "TakesTheLastBatchAgain": ["a_missing_input_is_an_inference_error"],
    "BreaksAtAnError": [
        "a_wrong_dtype_is_an_inference_error",
        "a_wrong_shape_is_an_inference_error",
        "a_wrong_name_is_an_inference_error",
        "a_missing_input_is_an_inference_error",
    ],
    "RunsWhenClosed": ["a_closed_model_is_an_inference_error"],
    "PrintsFromPython": ["nothing_is_printed"],
    "PrintsFromNativeCode": ["nothing_is_printed"],
    # placement
    "ClaimsAGpuAndRunsOnTheCpu": ["the_model_runs_on_the_device_that_was_asked_for"],
    "IgnoresTheIndex": ["the_index_is_not_ignored"],
    "ContradictsItself": ["the_precision_is_the_one_that_was_asked_for"],
    "RunsBf16AndClaimsF32": ["f32_is_computed_in_f32"],
    "ClaimsAPrecisionThatItLacks": ["a_precision_that_the_device_lacks_is_never_claimed"],
    # numerics
    "ReversesTheShapes": ["the_tensors_are_described"],
    "SwapsOutputs": ["relu", "a_small_stfpm_pair"],
    "TakesBgr": ["convolution_and_batch_norm", "a_small_stfpm_pair", "the_default_bundle"],
    "ComputesInFloat16": ["relu", "the_default_bundle"],
    # batching
    "MixesTheImagesOfABatch": ["a_batch_gives_what_its_images_give_one_by_one"],
    "DropsTheAxisOfASingleImage": ["a_single_image_always_works"],
    "DropsTheTailOfABatch": ["a_ragged_tail"],
    "ReversesABatch": ["the_order_of_a_batch_is_kept"],
    "CutsALongBatch": ["the_limits_of_the_batch_are_kept"],
    "PadsAStaticBatch": ["the_limits_of_the_batch_are_kept"],
    # lifecycle
    "ClosesOnce": ["closing_twice_is_closing_once"],
    "EntersAnotherModel": ["a_model_is_a_context_manager"],
    "LeaksAThread": ["threads_do_not_pile_up"],
    "LeaksAFile": ["file_descriptors_do_not_pile_up"],
    "HasRoomForOneModel": ["two_models_live_side_by_side"],
    "ReusesItsBuffers": ["outputs_belong_to_the_caller", "outputs_share_no_memory"],
    "WritesItsInputs": ["inputs_are_not_written"],
    "NeedsWriteableInputs": ["inputs_are_not_written"],
    "NeedsContiguousInputs": ["inputs_are_not_written"],
    # concurrency
    "AnswersTheLatestRequest": ["every_request_gets_its_own_answer"],
    "ForgetsTheFutureOfAnError": ["a_future_carries_its_error"],
    "ClosesWithRequestsPending": ["closing_finishes_what_was_submitted"],
    "NeverFinishes": ["every_request_gets_its_own_answer", "closing_finishes_what_was_submitted"],
    "SharesItsScratchBetweenThreads": ["threads_do_not_mix_their_answers"],
}

HANGING = {"KeepsTheProcessAlive", "ForgetsTheFutureOfAnError", "NeverFinishes"}


@pytest.mark.parametrize(("mutant", "check"), [(mutant, check) for mutant in KILLED_BY for check in KILLED_BY[mutant]])
def test_a_mutant_is_killed_by_the_check_that_is_meant_for_it(mutant, check, kit_for):
    kit = kit_for(mutant, patience=1.0) if mutant in HANGING else kit_for(mutant)
    with pytest.raises(AssertionError, match=r"^expected: (?s:.*)\ngot: (?s:.*)\nfix: "):
        getattr(kit, f"test_{check}")()


@pytest.mark.parametrize(
    ("backend", "skipped"),
    [
        ("Correct", set()),
        ("StaticAndHalf", {"test_f32_is_computed_in_f32"}),
        ("SmallAndSynchronous", {"test_threads_do_not_mix_their_answers"}),
    ],
)
def test_a_backend_without_a_fault_passes_every_check(backend, skipped, kit_for):
    results = list(run(kit_for(backend)))
    assert [(result.name, result.message) for result in results if result.outcome == "failed"] == []
    assert {result.name for result in results if result.outcome == "skipped"} == skipped


def test_every_check_kills_a_mutant():
    checks = {name for group in GROUPS for name in vars(group) if name.startswith("test_")}
    assert checks == {f"test_{check}" for killers in KILLED_BY.values() for check in killers}


def test_every_mutant_that_is_there_is_in_the_table(mutants):
    from mutant_plugin import CLASSES

    assert {name for module, names in CLASSES.items() if module != "correct" for name in names} == set(KILLED_BY)


def test_a_plugin_that_passes_the_api_version_itself_on_never_reaches_the_kit(install):
    module = (
        "from uadx.api import API_VERSION, BackendSpec, hookimpl\n"
        "@hookimpl\n"
        "def uadx_backends():\n"
        "    return [BackendSpec('acme', API_VERSION, 'correct:Correct', ('cpu',), 'a test', 'none')]\n"
    )
    install("acme", {"acme_plugin.py": module}, acme="acme_plugin")
    kit = type("TestAcme", (BackendConformance,), {"device": "acme:0"})()
    with pytest.raises(PluginError, match="it must be a number of its own"):
        kit.test_relu()
