"""What an installation without extras brings, and what it says of the rest."""

import ast
import functools
import importlib
import pathlib
import re
import sys
import tomllib

import builders
import launching
import pytest
from finished import finished

from keras_graft import data
from keras_graft import diagnosis
from keras_graft import recognition
from keras_graft.checks import packages
from keras_graft.runs import run_report
from keras_graft.runs.exit_codes import REFUSED
from keras_graft.version import __version__

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# What is imported -> the name that it is installed by, where they differ.
INSTALLED_AS = {
    "PIL": "pillow",
    "ai_edge_litert": "ai-edge-litert",
    "absl": "absl-py",
    "sklearn": "scikit-learn",
    "tensorflow_datasets": "tensorflow-datasets",
}
# Their users ask for these first: `packages.require`.
ASKED_FOR = {"PIL", "matplotlib"}


def names(requirements):
    return {re.match(r"[\w.-]+", text)[0] for text in requirements}


@functools.cache
def imported(place):
    """Third-party modules that the package imports, at the top or inside."""
    found = set()
    for path in (ROOT / "keras_graft").rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        nodes = tree.body if place == "top" else ast.walk(tree)
        for node in nodes:
            if isinstance(node, ast.Import):
                found |= {a.name.partition(".")[0] for a in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"keras_graft"}


def test_what_is_imported_at_once_is_installed_without_extras():
    needed = imported("top") - ASKED_FOR
    core = names(PROJECT["dependencies"])
    assert {INSTALLED_AS.get(name, name) for name in needed} <= core


def test_what_is_imported_at_all_is_in_an_extra():
    extras = PROJECT["optional-dependencies"]
    used = ("data", "export", "mlflow", "plot", "tensorboard", "wandb")
    known = names(PROJECT["dependencies"]).union(
        *(names(extras[extra]) for extra in used)
    )
    everything = {INSTALLED_AS.get(n, n) for n in imported("anywhere")}
    assert everything <= known
    assert extras["command"] == ["keras_graft[data,plot]"]


def test_named_extras_hold_what_they_are_named_for():
    for module, (name, extra) in packages._EXTRAS.items():
        assert INSTALLED_AS.get(module, module) == name
        assert name in names(PROJECT["optional-dependencies"][extra])


def absent(monkeypatch, *modules):
    """As if they were not installed: Python's own way to say so."""
    for name in modules:
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.parametrize(
    ("modules", "use", "message"),
    [
        (
            ["tensorflow_datasets"],
            lambda: data.load("cifar10", "/nowhere"),
            "The dataset cifar10 needs tensorflow-datasets, which is not",
        ),
        (
            ["importlib_resources", "requests"],
            lambda: data.load("cifar100", "/nowhere"),
            "needs importlib_resources and requests, which are not installed",
        ),
        (
            ["matplotlib"],
            lambda: diagnosis.diagnose(builders.small_network()).plot("no.png"),
            "A picture needs matplotlib, which is not installed. pip",
        ),
        (
            ["matplotlib", "PIL"],
            lambda: recognition.retrieval_report(*[None] * 5),
            "A retrieval report needs matplotlib and pillow, which are not "
            "installed. pip install 'keras_graft[data,plot]'",
        ),
    ],
)
def test_a_use_names_what_is_absent(monkeypatch, modules, use, message):
    absent(monkeypatch, *modules)
    with pytest.raises(ImportError, match=re.escape(message)):
        use()


@pytest.mark.parametrize(
    "read",
    [
        lambda: data.load("folder:/nowhere"),
        lambda: recognition.load("folder", "/nowhere"),
    ],
)
def test_image_files_name_what_is_absent(monkeypatch, read):
    absent(monkeypatch, "PIL")
    forget(monkeypatch)
    with pytest.raises(ImportError, match=r"pillow.*keras_graft\[data\]"):
        read()


def forget(monkeypatch):
    """Has what may read image files imported anew."""
    for name in list(sys.modules):
        if name.startswith(("keras_graft.data.folder", "keras_graft.recog")):
            monkeypatch.delitem(sys.modules, name)


def test_recognition_without_image_files_needs_no_extra(monkeypatch):
    absent(monkeypatch, "PIL", "matplotlib")
    forget(monkeypatch)
    again = importlib.import_module("keras_graft.recognition")
    for name in again.__all__:
        getattr(again, name)
    assert again.load("digits").query.num_identities == 5


def test_launch_says_what_to_install(monkeypatch, tmp_path):
    absent(monkeypatch, "tensorflow_datasets")
    code, message = launching.launch_here(
        "--dataset=cifar10", f"--workdir={tmp_path / 'run'}"
    )
    assert code == REFUSED
    assert "pip install 'keras_graft[data]'" in message


def test_a_report_without_matplotlib_says_so(monkeypatch):
    absent(monkeypatch, "matplotlib")
    history = {"val_network_0_accuracy": [0.5]}
    page = run_report.report_html(finished(), history, {}, "")
    assert "keras_graft[plot]" in page
    assert "<img" not in page
    assert "0.6250" in page


def test_citation_names_the_version():
    text = (ROOT / "CITATION.cff").read_text("utf-8")
    assert re.search(r"^version: (.*)$", text, re.MULTILINE)[1] == __version__


def test_metadata_names_what_an_index_shows():
    assert PROJECT["authors"] and PROJECT["urls"] and PROJECT["keywords"]
    assert "Typing :: Typed" in PROJECT["classifiers"]
    versions = re.findall(r"Python :: (3\.\d+)", str(PROJECT["classifiers"]))
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text()
    matrix = re.search(r"python: \[(.*)\]", workflow)[1]
    assert re.findall(r"3\.\d+", matrix) == versions
