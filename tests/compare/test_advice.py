"""The page of a study with `--hours`, and the flagfile that it advises."""

import time

import pytest
from compare_fixture import make_record
from compare_fixture import make_study

from keras_graft import flags
from keras_graft.compare import advice
from keras_graft.compare import page
from keras_graft.compare import study_report
from keras_graft.compare.budget import Budget
from keras_graft.compare.judgement import judge
from keras_graft.compare.study import arm_runs

NAMES = ("swa_long", "mutual:average")
LONG = [0.50, 0.51, 0.49]
AHEAD = [0.54, 0.55, 0.53]
ALIKE = [0.49, 0.53, 0.49]
BEHIND = [0.46, 0.47, 0.45]


def make_page(folder, accuracies, num_seeds=3):
    study = make_study(folder, names=NAMES, num_seeds=num_seeds)
    records = [
        make_record(arm, seed, accuracy)
        for arm, by_seed in (("swa_long", LONG), ("mutual_average", accuracies))
        for seed, accuracy in enumerate(by_seed)
    ]
    predicted = dict.fromkeys(arm_runs(study), 20.0)
    budget = Budget(0.1, 60.0, time.monotonic(), predicted)
    judgement = judge(records, {})
    found = advice.sections(study, judgement, records, {}, budget)
    return study, records, judgement, found


@pytest.mark.parametrize(
    ("accuracies", "answer"),
    [
        (AHEAD, "Use `mutual_average`"),
        (ALIKE, "Cannot tell. `mutual_average` less `swa_long`"),
        (BEHIND, "Use `swa_long`"),
    ],
)
def test_page_begins_with_what_to_use(tmp_path, accuracies, answer):
    *_, found = make_page(tmp_path, accuracies)
    text = page.markdown(found)
    first = text.split("\n\n")[1]
    assert first.startswith(answer)
    assert f"launch --flagfile={tmp_path}/recommended.flags" in text


def test_page_says_by_how_much_at_what_cost_and_what_is_open(tmp_path):
    *_, found = make_page(tmp_path, ALIKE, num_seeds=5)
    text = page.markdown(found)
    # The mean difference and its interval, by hand from t = 4.3027.
    assert "+0.33 [-3.46, +4.13]" in text
    assert "| `mutual_average`: the arm mutual_average | 50.3 %" in text
    assert "| 1.00 x | 0.2 | 1.00 x | 5.0 % | 3 |" in text
    assert "How far seeds differ: 3 seeds cannot say it well" in text
    assert "all arms had 0.1, which was not tuned" in text
    assert "Arms that were left out: `swa`, `ensemble_average`" in text
    assert "Seeds: 3 of 5 planned. The rest did not fit" in text
    assert "half that width takes about 5 seeds" in text


def test_recommendation_is_a_flagfile_of_launch(tmp_path, monkeypatch):
    study, records, judgement, _ = make_page(tmp_path, AHEAD)
    file = tmp_path / "recommended.flags"
    said = advice.verdict(judgement, records)
    file.write_text(
        advice.flagfile(study, judgement.recommended, study.grid[0], said)
    )
    assert file.read_text().startswith("# Use mutual_average")
    monkeypatch.chdir(tmp_path)
    values = flags.FlagValues()
    flags.define(values)
    settings = flags.parse(["launch", f"--flagfile={file}"], values)
    assert settings.num_networks == 2 and settings.swa_start == 0.75
    assert settings.mutual_weight == 1 and not settings.graft
    assert settings.train_examples == 120
    assert settings.workdir == str(tmp_path / "runs" / "recommended")


def test_report_holds_the_advice_first(tmp_path):
    _, records, _, found = make_page(tmp_path, ALIKE)
    file = tmp_path / "report.html"
    study_report.write(file, "mine", records, page.as_html(found))
    text = file.read_text()
    assert text.index("Cannot tell.") < text.index("In full")
    assert "<code>mutual_average</code> less <code>swa_long</code>" in text


def test_names_are_text_in_html():
    part = page.Section("<b>", ["`a<b` & c", page.Code("<i>")])
    text = page.as_html([part])
    assert "<code>a&lt;b</code> &amp; c" in text
    assert "<b>" not in text and "<i>" not in text
