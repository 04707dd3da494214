"""Everything that `make bench` measures, in one folder.

    python benchmarks/bench.py [--full] [--minutes=20] [--folder=runs/bench]

Without `--full`: the workload of the targets (four ResNet-20) and the costs of
terms and monitors, within `--minutes`. With it: also 1, 2, 4 and 8 networks of
ResNet-20, ResNet-56 and MobileNetV2, each for as long as all the rest.
Writes a JSON file for each run, bench.md and bench.png.
"""

import argparse
import json
import pathlib
import subprocess
import sys

from measuring.picture import draw
from measuring.targets import markdown

_FOLDER = pathlib.Path(__file__).resolve().parent
_CORE = (4, "resnet20")
_MATRIX = tuple(
    (networks, model)
    for model in ("resnet20", "resnet56", "mobilenetv2")
    for networks in (1, 2, 4, 8)
)
_SHARE_OF_COSTS = 0.15
# Short epochs: eight large networks would take most of an hour each else.
_MATRIX_IMAGES = ("--train_images=640", "--validation_images=160")


def main() -> int:
    options = parse_options()
    folder = pathlib.Path(options.folder)
    folder.mkdir(parents=True, exist_ok=True)
    runs = [("core", _CORE, ())]
    if options.full:
        matrix = [*_MATRIX_IMAGES, "--stages=epochs"]
        runs += [(f"n{n}_{model}", (n, model), matrix) for n, model in _MATRIX]
    costs = folder / "costs.json"
    throughput_minutes = options.minutes * (1 - _SHARE_OF_COSTS)
    results, failed = [], []
    for name, (networks, model), more in runs:
        path = folder / f"{name}.json"
        code = run(
            "throughput.py",
            f"--networks={networks}",
            f"--model={model}",
            f"--minutes={throughput_minutes}",
            f"--json={path}",
            *more,
            *(["--no-pytorch"] if not options.pytorch else []),
        )
        if code and not results:
            return code
        if code:
            failed.append(name)  # Nothing of the others is lost.
        else:
            results.append(json.loads(path.read_text(encoding="utf-8")))
    code = run(
        "costs.py",
        f"--minutes={_SHARE_OF_COSTS * options.minutes}",
        f"--json={costs}",
    )
    (folder / "bench.md").write_text(
        "\n".join(table(results)) + "\n", encoding="utf-8"
    )
    draw(results, folder / "bench.png")
    print(f"Written: {folder}")
    if failed:
        print(f"Failed: {', '.join(failed)}; see above", file=sys.stderr)
    return code or int(bool(failed))


def run(script: str, *arguments: str) -> int:
    """Runs a benchmark of this folder; returns its exit code."""
    return subprocess.run(
        [sys.executable, str(_FOLDER / script), *arguments], check=False
    ).returncode


def table(results: list[dict]) -> list[str]:
    """Markdown: the first result in full, and the ratios of all."""
    lines = markdown(results[0])
    if len(results) > 1:
        lines += [
            "",
            "| networks | over Keras fits | over PyTorch tuned "
            "| over PyTorch as shipped |",
            "| --- | --- | --- | --- |",
        ]
    for result in results[1:]:
        cells = [
            f"{result[key]:.2f}" if key in result else ""
            for key in (
                "speedup_over_keras_fits",
                "speedup_over_pytorch_tuned",
                "speedup_over_pytorch_as_shipped",
            )
        ]
        size = f"{result['networks']} x {result['model']}"
        lines.append(f"| {size} | {' | '.join(cells)} |")
    return lines


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--folder", default="runs/bench")
    parser.add_argument(
        "--pytorch", action=argparse.BooleanOptionalAction, default=True
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
