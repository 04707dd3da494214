"""Records of searches and of studies that are not finished."""

import pathlib
import runpy

import pytest
from compare_fixture import make_record

from keras_graft.compare import records

RESULTS = pathlib.Path(__file__).resolve().parents[2] / "results"


def record_of(arm, seed, validation):
    return make_record(arm, seed, 0.987, validation_accuracy=validation)


def printed(capsys, *arguments):
    main = runpy.run_path(str(RESULTS / "search/validation.py"))["main"]
    code = main([str(argument) for argument in arguments])
    return code, capsys.readouterr()


def test_validation_is_printed_with_paired_differences(tmp_path, capsys):
    one, other = tmp_path / "a.json", tmp_path / "b.json"
    records.write(
        one,
        [record_of("swa_long", 100, 0.60), record_of("swa_long", 101, 0.62)],
    )
    records.write(
        other,
        [
            record_of("pull", 100, 0.61),
            record_of("pull", 101, 0.65),
            record_of("swa_long", 100, 0.60),
        ],
    )
    code, out = printed(capsys, one, other)
    assert code == 0
    head, best, base = out.out.splitlines()
    # t of one degree of freedom is 12.706, the differences are 1 and 3.
    assert "63.00 +- 2.83" in best and "+2.00 [-10.71, +14.71]" in best
    assert best.startswith("pull") and best.endswith("100,101")
    assert "61.00 +- 1.41" in base
    assert "98.7" not in out.out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"flags": ["--epochs=4"]}, "pull with seed 100 is there twice"),
        (
            {"seed": 101, "validation_accuracy": None},
            "pull has no validation accuracy",
        ),
    ],
)
def test_records_that_cannot_be_compared_are_named(
    tmp_path, capsys, changes, message
):
    file = tmp_path / "a.json"
    second = make_record(**{"arm": "pull", "seed": 100} | changes)
    records.write(file, [make_record("pull", 100), second])
    code, out = printed(capsys, file)
    assert code == 1
    assert message in out.err


def test_records_of_several_machines_are_kept_together(tmp_path, capsys):
    main = runpy.run_path(str(RESULTS / "unfinished.py"))["main"]
    one, other = tmp_path / "a.json", tmp_path / "b.json"
    known = [make_record("swa_long", 0), make_record("single", 0)]
    records.write(one, known)
    records.write(other, [known[0], make_record("single", 1)])
    kept = tmp_path / "longer.json"
    for files in ([one], [other]):
        assert main(["longer", *map(str, files)], tmp_path) == 0
    found = records.read(kept)
    assert [(r.arm, r.seed) for r in found] == [
        ("single", 0),
        ("single", 1),
        ("swa_long", 0),
    ]
    records.write(other, [make_record("single", 1, flags=["--epochs=4"])])
    assert main(["longer", str(other)], tmp_path) == 1
    assert "single with seed 1 is there twice" in capsys.readouterr().err
    assert records.read(kept) == found
