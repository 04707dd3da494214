"""From what was measured to the keys of the JSON file."""

from typing import Any

from measuring.epochs import Epochs
from measuring.epochs import gemm_fractions
from measuring.epochs import step_seconds
from measuring.graft_runs import GraftRuns
from measuring.intervals import estimate
from measuring.intervals import ratios
from measuring.starts import MANY
from measuring.starts import Starts
from measuring.workload import Workload


def epoch_samples(epochs: Epochs, workload: Workload) -> dict[str, list[float]]:
    """What whole epochs tell, by key: one value a round."""
    own = _parts(epochs.rounds["trainer"])
    fits = _parts(epochs.rounds["keras_fits"])
    steps = step_seconds(epochs, workload)
    samples = {
        "speedup_over_keras_fits": ratios(fits["seconds"], own["seconds"]),
        "step_speedup_over_keras_fits": ratios(fits["train"], own["train"]),
        "cpu_speedup_over_keras_fits": ratios(
            fits["cpu_seconds"], own["cpu_seconds"]
        ),
        "gemm_fraction": gemm_fractions(epochs),
        "input_fraction": ratios(epochs.rounds["input"], steps),
        "epoch_seconds": own["seconds"],
        "images_per_second": _rates(own["seconds"], workload),
        "keras_fits_images_per_second": _rates(fits["seconds"], workload),
        "step_seconds": steps,
        "graft_share_of_epoch": ratios(own["open"], own["seconds"]),
        "validation_share_of_epoch": ratios(own["validate"], own["seconds"]),
        "checkpoint_share_of_epoch": ratios(own["close"], own["seconds"]),
        "checkpoint_seconds": own["close"],
        "checkpoint_mib": own["checkpoint_mib"],
    }
    for how in ("as_shipped", "tuned"):
        if f"pytorch_{how}" in epochs.rounds:
            theirs = _parts(epochs.rounds[f"pytorch_{how}"])
            seconds = theirs["seconds"]
            samples[f"speedup_over_pytorch_{how}"] = ratios(
                seconds, own["seconds"]
            )
            samples[f"cpu_speedup_over_pytorch_{how}"] = ratios(
                theirs["cpu_seconds"], own["cpu_seconds"]
            )
            samples[f"pytorch_{how}_images_per_second"] = _rates(
                seconds, workload
            )
    if "pytorch_bare" in epochs.rounds:
        bare = epochs.rounds["pytorch_bare"]
        samples["pytorch_bare_images_per_second"] = bare
        samples["pytorch_tuned_over_bare"] = ratios(
            samples["pytorch_tuned_images_per_second"], bare
        )
        samples["step_speedup_over_bare_pytorch"] = ratios(
            [workload.networks * workload.batch_size / s for s in steps], bare
        )
    return samples


def start_samples(starts: Starts, workload: Workload) -> dict[str, list[float]]:
    """What cold starts tell, by key: one value a round."""
    samples = {
        "first_step_seconds": starts.first_step[workload.networks],
        "first_step_growth": ratios(
            starts.first_step[MANY], starts.first_step[1]
        ),
        "peak_pss_mib": starts.mib["trainer"],
        "memory_over_keras_processes": ratios(
            starts.mib["trainer"], starts.mib["keras_fits"]
        ),
    }
    if "pytorch" in starts.mib:
        samples["memory_over_pytorch_processes"] = ratios(
            starts.mib["trainer"], starts.mib["pytorch"]
        )
    return samples


def graft_samples(runs: GraftRuns) -> dict[str, list[float]]:
    """What the grafts of a run tell, by key: one value a round."""
    samples = {"graft_seconds": runs.own, "graft_pass_seconds": runs.own_each}
    if runs.reference:
        for key, seconds in (
            ("graft_speedup_over_reference", runs.reference),
            ("graft_speedup_over_reference_tuned", runs.reference_tuned),
            ("graft_speedup_over_fast_pytorch", runs.reference_fast),
        ):
            theirs = [runs.grafts * s for s in seconds]
            samples[key] = ratios(theirs, runs.own)
    return samples


def estimates(samples: dict[str, list[float]]) -> dict[str, Any]:
    """Medians at the top, and by key what is to know about them.

    Args:
        samples: By key: one value a round.

    Returns:
        Each key with its median, and `intervals`, `coverage` (of the
        interval; 0.9 takes five rounds) and `samples`, each by key.
    """
    found = {key: estimate(values) for key, values in samples.items()}
    return {
        **{key: e.median for key, e in found.items()},
        "intervals": {key: [e.low, e.high] for key, e in found.items()},
        "coverage": {key: e.coverage for key, e in found.items()},
        "samples": samples,
    }


def _parts(answers):
    """A list of dicts as a dict of lists."""
    return {part: [a[part] for a in answers] for part in answers[0]}


def _rates(seconds, workload):
    return [workload.network_images / s for s in seconds]
