"""Records -> table, figure, report, and the page of the studies."""

import json
import pathlib

import msgspec
import PIL.Image
import pytest
from compare_fixture import make_record

from keras_graft.compare import primary
from keras_graft.compare import records
from keras_graft.compare import study_report
from keras_graft.compare import summary
from keras_graft.compare import tables

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def some_records():
    return [
        make_record("single", 0, 0.60),
        make_record("single", 1, 0.62),
        make_record("graft_mutual", 1, 0.66, flops_train=2000, divergence=0.5),
        make_record("graft_mutual", 0, 0.62, flops_train=2000, divergence=0.3),
        make_record("ensemble", 0, 0.63, flops_inference=20, flops_train=2000),
        make_record("ensemble", 1, 0.64, flops_inference=20, flops_train=2000),
    ]


def test_row_holds_mean_std_difference_and_cost(some_records):
    by_arm = {row.arm: row for row in summary.rows(some_records)}
    assert list(by_arm) == ["single", "ensemble", "graft_mutual"]
    row = by_arm["graft_mutual"]
    assert row.accuracy == pytest.approx(0.64)
    assert row.std == pytest.approx(0.02 * 2**0.5)
    assert row.difference.mean == pytest.approx(0.03)
    # Student's t with one degree of freedom: 12.706.
    assert row.difference.high == pytest.approx(0.03 + 12.7062 * 0.01, abs=1e-5)
    assert row.difference_at_cost is None
    assert row.training_cost == 2
    assert row.divergence == pytest.approx(0.4)
    assert by_arm["ensemble"].inference_cost == 2
    assert by_arm["single"].difference is None


def test_markdown_table_shows_the_numbers(some_records):
    lines = summary.markdown(some_records).splitlines()
    assert len(lines) == 2 + 3
    assert {line.count("|") for line in lines} == {len(summary.HEAD) + 1}
    assert "| 64.00 ± 2.83 | +3.00 [-9.71, +15.71] | - | 2.00 x |" in lines[4]


@pytest.fixture
def rivals_and_own():
    def both(arm, *accuracies, **changes):
        return [make_record(arm, s, a, **changes) for s, a in accuracies]

    return [
        *both("single_long", (0, 0.60), (1, 0.61), flops_train=2000),
        *both("swa_long", (0, 0.62), (1, 0.65), flops_train=2000),
        *both("mutual", (0, 0.6), (1, 0.6), validation_accuracy=0.9),
        # The best on the test split, but not on validation.
        *both("graft_mutual", (0, 0.8), (1, 0.8), validation_accuracy=0.6),
        # The best on validation, for more than the budget.
        *both("grafting_plus", (0, 0.7), validation_accuracy=0.8),
        *both("mutual_average", (0, 0.63), (1, 0.65), validation_accuracy=0.7),
    ]


def at_cost(found, arm, cost):
    return [
        msgspec.structs.replace(r, flops_train=cost) if r.arm == arm else r
        for r in found
    ]


def test_primary_comparisons_take_the_best_on_validation_within_the_budget(
    rivals_and_own,
):
    found = at_cost(rivals_and_own, "grafting_plus", 2100)
    assert primary.best_arm(found) == "mutual_average"
    lines = primary.markdown(found).splitlines()
    assert [line for line in lines if line.startswith("| `")] == [
        "| `mutual_average` minus | points | seeds |",
        "| `single_long` | +3.50 [-2.85, +9.85] | 2 |",
        "| `swa_long` | +0.50 [-5.85, +6.85] | 2 |",
        "| `mutual` | +4.00 [-8.71, +16.71] | 2 |",
    ]
    assert lines[-1].startswith("3 comparisons")
    assert primary.best_arm(rivals_and_own) == "grafting_plus"


def test_another_rival_at_equal_cost_gives_the_budget(rivals_and_own):
    found = at_cost(rivals_and_own[2:], "grafting_plus", 2100)
    assert primary.best_arm(found) == "mutual_average"
    assert "at the cost of `swa_long`" in primary.markdown(found)


def test_no_primary_comparisons_without_an_arm_or_a_budget(rivals_and_own):
    rivals = [r for r in rivals_and_own if r.arm in ("single_long", "mutual")]
    assert primary.best_arm(rivals) is None
    assert primary.markdown(rivals) == ""
    assert primary.best_arm(rivals_and_own[4:]) is None
    blind = [
        msgspec.structs.replace(r, validation_accuracy=None)
        for r in rivals_and_own
    ]
    assert primary.best_arm(blind) is None


def test_arm_without_the_single_network_has_no_cost_or_difference():
    (row,) = summary.rows([make_record("mutual")])
    assert row.difference is None
    assert "| 50.00 | - | - | - | - |" in summary.markdown(
        [make_record("mutual")]
    )


def test_records_survive_their_file(tmp_path, some_records):
    path = tmp_path / "deep" / "study.json"
    records.write(path, some_records)
    assert records.read(path) == some_records


@pytest.mark.parametrize(
    ("content", "entry"),
    [
        (b'[{"arm": "single"}]', "missing required field `description`"),
        (b'{"arm": "single"}', "array"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_file_of_something_else_is_refused(tmp_path, content, entry):
    path = tmp_path / "study.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"study.json holds no rec.*{entry}"):
        records.read(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("test_accuracy", 1.5),
        ("test_accuracy", "0.5"),
        ("validation_accuracy", float("nan")),
        ("epochs", -1),
        ("epochs", float("inf")),
        ("seconds", None),
        ("flags", "--epochs=1"),
        ("status", [1]),
        ("of_tomorrow", 1),
    ],
)
def test_edited_record_is_refused_by_its_entry(
    tmp_path, some_records, name, value
):
    path = tmp_path / "study.json"
    records.write(path, some_records)
    rows = json.loads(path.read_text())
    rows[1][name] = value
    path.write_text(json.dumps(rows))
    with pytest.raises(ValueError, match=rf"study.json holds no.*{name}"):
        records.read(path)


def test_page_needs_nothing_beside_it(tmp_path, some_records):
    path = tmp_path / "report.html"
    study_report.write(path, "small", some_records)
    page = path.read_text()
    assert page.count("data:image/png;base64,") == 3
    assert "+3.00 [-9.71, +15.71]" in page
    assert "src='http" not in page


def page_in(folder):
    page = folder / "README.md"
    page.write_text(f"# Head\n\n{tables.BEGIN}\nold\n{tables.END}\n\ntail\n")
    return page


def test_page_gets_table_and_figure_between_its_markers(tmp_path, some_records):
    page = page_in(tmp_path)
    records.write(tmp_path / "core.json", some_records)
    tables.write(page, tmp_path)
    text = page.read_text()
    assert text.startswith("# Head\n\n") and text.endswith("\n\ntail\n")
    assert "old" not in text
    assert summary.markdown(some_records) in text
    assert (tmp_path / "core.png").exists()
    tables.write(page, tmp_path)
    assert page.read_text() == text


@pytest.mark.parametrize(
    ("page", "link"),
    [
        ("results/README.md", "core.png"),
        ("README.md", "results/core.png"),
        ("docs/studies.md", "../results/core.png"),
    ],
)
def test_page_links_to_its_figures_from_where_it_lies(
    tmp_path, some_records, page, link
):
    records.write(tmp_path / "results" / "core.json", some_records)
    text = tables.block(tmp_path / "results", tmp_path / page)
    assert f"]({link})" in text


def test_page_says_so_where_there_is_no_study(tmp_path):
    page = page_in(tmp_path)
    tables.write(page, tmp_path)
    assert "No study has finished yet" in page.read_text()


def test_page_without_markers_is_refused(tmp_path):
    page = tmp_path / "README.md"
    page.write_text("# Head\n")
    with pytest.raises(ValueError, match="results:begin"):
        tables.write(page, tmp_path)


def test_page_of_this_repository_shows_its_records():
    results = ROOT / "results"
    page = results / "README.md"
    _, between, _ = tables.between_markers(page.read_text("utf-8"))
    assert between.strip() == tables.block(results, page).strip(), (
        "run `make tables`"
    )


def test_figures_of_this_repository_were_made_from_its_records():
    for path in (ROOT / "results").glob("*.json"):
        with PIL.Image.open(tables.figure_of(path)) as picture:
            assert picture.info["Description"] == tables.fingerprint(path), (
                "run `make tables`"
            )


def test_figure_tells_which_records_it_shows(tmp_path, some_records):
    page = page_in(tmp_path)
    path = tmp_path / "core.json"
    records.write(path, some_records)
    tables.write(page, tmp_path)
    with PIL.Image.open(tables.figure_of(path)) as picture:
        assert picture.info["Description"] == tables.fingerprint(path)
    records.write(path, some_records[1:])
    with PIL.Image.open(tables.figure_of(path)) as picture:
        assert picture.info["Description"] != tables.fingerprint(path)
