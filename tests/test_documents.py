"""The documents: their links lead somewhere, and what they name exists."""

import dataclasses
import pathlib
import re

import pytest

from keras_graft.runs import exit_codes
from keras_graft.runs.results import NetworkResult
from keras_graft.runs.results import RunResults
from keras_graft.runs.retrieval_results import RetrievalNetwork
from keras_graft.runs.retrieval_results import RetrievalResults

ROOT = pathlib.Path(__file__).resolve().parents[1]

DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in (
        "*.md",
        "docs/**/*.md",
        "results/*.md",
        "benchmarks/**/*.md",
        "keras_graft/*/README.md",
    )
    for path in ROOT.glob(pattern)
)

# A path inside the repository, in prose or in a command. What a run or a build
# makes (runs/, dist/, .venv/) is not there before it.
TREE = re.compile(
    r"(?<![\w./~-])(?:\.ci|benchmarks|docs|keras_graft|launch|results|tests)/"
    r"[\w./*-]*"
)
# A file that is named alone: in the document's folder or where it can only be.
NAMED_ALONE = re.compile(r"`([\w./*-]+\.(?:flags|md|py|sh|toml|txt|yaml))`")
HOMES = (".", "launch", "launch/paper", "benchmarks", "results")
MODULE = re.compile(r"python -m (keras_graft(?:\.\w+)*)")
# What an installation, a run or `make bench` makes, and what is no name.
MADE_LATER = {
    "keras_graft/recipes",
    "flags.txt",
    "bench.md",
    "card.md",
    "plan.flags",
    "recommended.flags",
}
NO_NAME = {"FILE.flags", "utils.py"}

LINK = re.compile(r"\]\(([^)\s]+)\)")
LINES = {"README.md": 120, "benchmarks/README.md": 150}


def anchors(text):
    """The places in a Markdown page that a link can lead to, as GitHub does."""
    heads = re.findall(r"^#+ (.+)$", without_code(text), re.MULTILINE)
    bare = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", head) for head in heads]
    return {
        re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in bare
    }


def without_code(text):
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def broken_links(text, page):
    """Returns the relative links in a page's text that lead nowhere."""
    broken = []
    for link in LINK.findall(without_code(text)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists():
            broken.append(link)
        elif anchor and anchor not in anchors(
            text if target == page else target.read_text("utf-8")
        ):
            broken.append(link)
    return broken


def missing_paths(text, page):
    """Returns the files, folders and modules that are named but not there."""
    inside = {name.rstrip("./-") for name in TREE.findall(text)}
    found = {name for name in inside if not list(ROOT.glob(name))}
    found |= {
        name
        for name in NAMED_ALONE.findall(text)
        if not any(list((ROOT / home).glob(name)) for home in HOMES)
        and not list(page.parent.glob(name))
    }
    for module in MODULE.findall(text):
        place = ROOT / module.replace(".", "/")
        if not (place.with_suffix(".py").exists() or place.is_dir()):
            found.add(module)
    return sorted(found - MADE_LATER - NO_NAME)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name):
    page = ROOT / name
    assert broken_links(page.read_text("utf-8"), page) == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_is_named_exists(name):
    page = ROOT / name
    assert missing_paths(page.read_text("utf-8"), page) == []


@pytest.mark.parametrize(("name", "most"), LINES.items())
def test_page_stays_short(name, most):
    lines = (ROOT / name).read_text("utf-8").splitlines()
    assert len(lines) <= most


def test_every_document_can_be_reached_from_the_readme():
    seen, todo = set(), ["README.md"]
    while todo:
        name = todo.pop()
        if name in seen or not name.endswith(".md"):
            continue
        seen.add(name)
        page = ROOT / name
        for link in LINK.findall(without_code(page.read_text("utf-8"))):
            if not re.match(r"[a-z]+:|#", link):
                target = (page.parent / link.partition("#")[0]).resolve()
                todo.append(target.relative_to(ROOT).as_posix())
    assert seen == set(DOCUMENTS)


def test_build_names_every_room_of_the_package():
    layout = (ROOT / "BUILD.md").read_text("utf-8").partition("## Layout")[2]
    rooms = {
        path.name + "/" * path.is_dir()
        for path in (ROOT / "keras_graft").iterdir()
        if path.name not in ("__pycache__", "recipes")
    }
    assert rooms == set(re.findall(r"`keras_graft/(\w+(?:\.\w+|/))`", layout))


@pytest.mark.parametrize(
    "room",
    sorted(p.parent.name for p in ROOT.glob("keras_graft/*/__init__.py")),
)
def test_a_table_of_modules_names_each_of_them(room):
    folder = ROOT / "keras_graft" / room
    text = (folder / "__init__.py").read_text("utf-8").split('"""')[1]
    rows = re.findall(r"^\| (`.*?) \|", text.partition("| module |")[2], re.M)
    named = set(re.findall(r"`(\w+)`", " ".join(rows)))
    modules = {
        path.stem
        for path in folder.iterdir()
        if path.is_dir() or path.suffix == ".py"
    } - {"__init__", "__main__", "__pycache__"}
    assert named in (set(), modules)


@pytest.mark.parametrize(
    "result", [RunResults, NetworkResult, RetrievalResults, RetrievalNetwork]
)
def test_page_of_the_command_line_names_every_key_of_the_results(result):
    page = (ROOT / "docs" / "command_line.md").read_text("utf-8")
    section = page.partition("## results.json")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(\w+)`", section))
    assert {field.name for field in dataclasses.fields(result)} <= named


def test_page_of_the_command_line_names_every_exit_code():
    page = (ROOT / "docs" / "command_line.md").read_text("utf-8")
    section = page.partition("## Exit codes")[2].partition("\n## ")[0]
    codes = {v for v in vars(exit_codes).values() if isinstance(v, int)}
    assert codes | {129, 130, 143} == set(
        map(int, re.findall(r"\b\d+\b", section))
    )


@pytest.mark.parametrize(
    ("text", "links", "paths"),
    [
        ("[a](no/where.md)", ["no/where.md"], []),
        ("[a](BUILD.md#no-such-head)", ["BUILD.md#no-such-head"], []),
        ("[a](#here)\n\n# Where\n", ["#here"], []),
        ("[a](#--plan-it)\n\n# `--plan`: it\n", [], []),
        ("[a](https://example.org) and [b](docs)", [], []),
        ("see keras_graft/flag_table.py.", [], ["keras_graft/flag_table.py"]),
        ("run `tests/flags/*.no`", [], ["tests/flags/*.no"]),
        ("the file `no_such.flags`", [], ["no_such.flags"]),
        ("python -m keras_graft.lunch", [], ["keras_graft.lunch"]),
        ("`digits.flags`, `paper/dml.flags`, runs/tests/x.json", [], []),
    ],
)
def test_what_is_not_there_is_found(text, links, paths):
    page = ROOT / "README.md"
    assert broken_links(text, page) == links
    assert missing_paths(text, page) == paths
