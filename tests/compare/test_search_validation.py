"""The page that a search is judged by."""

import pathlib
import runpy

import pytest
from compare_fixture import make_record

from keras_graft.compare import records

SCRIPT = (
    pathlib.Path(__file__).resolve().parents[2] / "results/search/validation.py"
)


def record_of(arm, seed, validation):
    return make_record(arm, seed, 0.987, validation_accuracy=validation)


def printed(capsys, *arguments):
    main = runpy.run_path(str(SCRIPT))["main"]
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
        ({"validation_accuracy": None}, "pull has no validation accuracy"),
    ],
)
def test_records_that_cannot_be_compared_are_named(
    tmp_path, capsys, changes, message
):
    file = tmp_path / "a.json"
    records.write(
        file, [make_record("pull", 100), make_record("pull", 100, **changes)]
    )
    code, out = printed(capsys, file)
    assert code == 1
    assert message in out.err
