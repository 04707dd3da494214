"""What retrieval metrics cost, beside what no program can leave out.

    python benchmarks/retrieval.py [--queries=3368] [--json=FILE]

The defaults are the sizes of Market-1501 with a ResNet-50, on random
embeddings. Bare is the matrix product of queries and gallery in blocks and a
partial sort of each row (`numpy.partition`, the ten nearest). Both take turns
in one process; the peak of memory is that of the process after the metrics,
embeddings and interpreter included.
"""

import argparse
import os
import sys
import time

import numpy as np
from measuring import json_file
from measuring.intervals import estimate
from measuring.intervals import ratios
from measuring.machine import describe_machine
from measuring.memory import peak_rss_mib
from measuring.turns import Deadline
from measuring.turns import interleave

from keras_graft.recognition import Reranking
from keras_graft.recognition import retrieval_metrics

_NEAREST = 10
_BLOCK_BYTES = 64 * 2**20
_IMAGES_OF_AN_IDENTITY = 26
_CAMERAS = 6


def main() -> int:
    options = parse_options()
    result = measure(options)
    for side, found in result["seconds"].items():
        print(f"{side}: {found['median']:.3g} s")
    ratio = result["metrics_over_bare"]
    print(
        f"metrics over bare: {ratio['median']:.2f} "
        f"({ratio['low']:.2f} to {ratio['high']:.2f})"
    )
    print(f"peak memory: {result['peak_rss_mib']:.0f} MiB")
    if "reranking" in result:
        again = result["reranking"]
        print(
            f"with re-ranking, once: {again['seconds']:.3g} s, peak memory "
            f"{again['peak_rss_mib']:.0f} MiB"
        )
    json_file.write(options.json, result)
    return 0


def measure(options: argparse.Namespace) -> dict:
    """Measures both sides.

    Args:
        options: What `parse_options` returns.

    Returns:
        JSON values: sizes, `seconds` by side, `metrics_over_bare` (median and
        90 % interval of the rounds' ratios) and `peak_rss_mib`.
    """
    rng = np.random.default_rng(0)
    queries, gallery = (
        rng.standard_normal((count, options.size), np.float32)
        for count in (options.queries, options.gallery)
    )
    identities = max(1, options.gallery // _IMAGES_OF_AN_IDENTITY)
    labels = [
        rng.integers(low, high, count)
        for count in (options.queries, options.gallery)
        for low, high in ((0, identities), (0, _CAMERAS))
    ]
    sides = (queries, *labels[:2], gallery, *labels[2:])
    retrieval_metrics(*sides)
    peak = peak_rss_mib(os.getpid())
    found = interleave(
        {
            "metrics": lambda: _timed(lambda: retrieval_metrics(*sides)),
            "bare": lambda: _timed(lambda: bare(queries, gallery)),
        },
        options.rounds,
        Deadline(60 * options.minutes),
        lambda line: print(line, flush=True),
    )
    result = {
        "queries": options.queries,
        "gallery": options.gallery,
        "size": options.size,
        "machine": describe_machine(),
        "seconds": {
            side: vars(estimate(seconds)) for side, seconds in found.items()
        },
        "metrics_over_bare": vars(
            estimate(ratios(found["metrics"], found["bare"]))
        ),
        "peak_rss_mib": peak,
    }
    if options.reranking:
        result["reranking"] = {
            "seconds": _timed(
                lambda: retrieval_metrics(*sides, reranking=Reranking())
            ),
            "peak_rss_mib": peak_rss_mib(os.getpid()),
        }
    return result


def bare(queries: np.ndarray, gallery: np.ndarray) -> None:
    """Products and the nearest of each row, block by block.

    Args:
        queries: float32, shape [queries, size].
        gallery: float32, shape [images, size].
    """
    rows = max(1, _BLOCK_BYTES // (4 * len(gallery)))
    space = np.empty((min(rows, len(queries)), len(gallery)), np.float32)
    for start in range(0, len(queries), rows):
        block = queries[start : start + rows]
        found = np.matmul(block, gallery.T, out=space[: len(block)])
        found.partition(min(_NEAREST, len(gallery)) - 1, axis=1)


def _timed(work):
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--queries", type=int, default=3368)
    parser.add_argument("--gallery", type=int, default=19732)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--reranking", action="store_true", help="Re-rank too, once."
    )
    parser.add_argument(
        "--minutes",
        type=float,
        default=10.0,
        help="No round begins that would not end in this time.",
    )
    parser.add_argument("--json", help="File to write.")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
