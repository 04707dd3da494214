"""The rules of the tree: who may import whom, and what is not to be there."""

import ast
import pathlib
import tomllib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]

# Imports go down this list only, and never sideways between two names of one
# line: a part of the package never imports its neighbour.
ORDER = (
    ("__main__", "compare", "launch", "predict"),
    ("runs",),
    ("checkpoint", "recognition"),
    ("trainer",),
    (
        "diagnosis",
        "grafting",
        "distillation",
        "swa",
        "acceleration",
        "distribution",
        "flags",
    ),
    ("structure", "optimizers", "data", "models"),
    ("version", "checks"),
)
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}

# Paths inside the package; `__main__.py` files are commands too.
IMPORT_ABSL = {
    "launch.py",
    "flags/command_line.py",
    "flags/definitions.py",
    "flags/value_types.py",
}
IMPORT_PRIVATE_KERAS: set[str] = set()
VAGUE_NAMES = {"utils.py", "common.py", "helpers.py", "misc.py"}


def violations(package: pathlib.Path) -> list[str]:
    """Returns what breaks the rules in the package `keras_graft` there."""
    found = []
    for path in sorted(package.rglob("*.py")):
        inside = path.relative_to(package)
        if path.name in VAGUE_NAMES:
            found.append(f"{inside}: a name that says nothing")
        own = inside.parts[0].removesuffix(".py")
        if own == "__init__":
            continue
        if own not in RANK:
            found.append(f"{inside}: has no place in ORDER")
            continue
        for imported in _imported(path, package):
            found += _broken_rules(inside, own, imported)
    return found


def _broken_rules(
    inside: pathlib.PurePath, own: str, imported: str
) -> list[str]:
    top, _, rest = imported.partition(".")
    name = inside.as_posix()
    command = inside.name == "__main__.py" or name in IMPORT_ABSL
    if top == "absl" and not command:
        return [f"{name}: imports absl, which only commands and flags do"]
    private = imported == "keras.src" or imported.startswith("keras.src.")
    if private and name not in IMPORT_PRIVATE_KERAS:
        return [f"{name}: imports the private {imported}"]
    if top != "keras_graft":
        return []
    other = rest.partition(".")[0]
    if other not in RANK:
        return [f"{name}: imports {imported}, which has no place in ORDER"]
    if other != own and RANK[other] <= RANK[own]:
        return [f"{name}: imports {imported}, which is not below {own}"]
    return []


def _imported(path: pathlib.Path, package: pathlib.Path) -> list[str]:
    """Returns the dotted names that a file imports, wherever in it."""
    folder = ("keras_graft", *path.relative_to(package).parts[:-1])
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = folder[: len(folder) - node.level + 1] if node.level else ()
            module = (*base, *filter(None, [node.module]))
            names += [".".join((*module, alias.name)) for alias in node.names]
    return names


def write_package(folder: pathlib.Path, **files: str) -> pathlib.Path:
    for name, text in files.items():
        path = folder / (name.replace("__in__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_package_follows_the_rules():
    assert violations(ROOT / "keras_graft") == []


def test_imports_downwards_and_inside_a_part_are_allowed(tmp_path):
    package = write_package(
        tmp_path,
        trainer__in__step=(
            "import keras\n"
            "from keras_graft import distillation\n"
            "from keras_graft.grafting.criteria import kernel_entropy\n"
        ),
        grafting__in__callback=(
            "from keras_graft.grafting import criteria\n"
            "from . import coefficient\n"
            "from ..structure.conv_layers import leaf_layers\n"
        ),
        diagnosis__in____main__="from absl import app\n",
        flags__in__definitions=(
            "from absl import flags\nfrom keras_graft.data import names\n"
        ),
    )
    assert violations(package) == []


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        (
            "structure__in__graph",
            "from keras_graft.trainer import GraftTrainer",
            "not below structure",
        ),
        (
            "trainer__in__step",
            "import keras_graft.runs.folder",
            "not below trainer",
        ),
        (
            "grafting__in__ring",
            "from keras_graft import distillation",
            "not below grafting",
        ),
        (
            "distillation__in__mutual",
            "from ..diagnosis import diagnose",
            "not below distillation",
        ),
        (
            "diagnosis__in__report",
            "def f():\n    from keras_graft.grafting import criteria",
            "not below diagnosis",
        ),
        ("models__in__resnet", "import keras_graft.data", "not below models"),
        ("data__in__digits", "from absl import logging", "imports absl"),
        (
            "trainer__in__step",
            "from keras_graft import GraftCallback",
            "has no place in ORDER",
        ),
        (
            "trainer__in__step",
            "from keras.src import backend",
            "private keras.src.backend",
        ),
        (
            "trainer__in__step",
            "import keras.src.backend",
            "private keras.src.backend",
        ),
        ("grafting__in__utils", "", "says nothing"),
        ("graph", "", "has no place in ORDER"),
    ],
)
def test_broken_rule_is_found(tmp_path, file, text, complaint):
    found = violations(write_package(tmp_path, **{file: text}))
    assert len(found) == 1
    assert complaint in found[0]


def test_every_folder_of_the_package_is_installed():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = settings["tool"]["setuptools"]["packages"]
    folders = {
        path.parent.relative_to(ROOT).as_posix().replace("/", ".")
        for path in (ROOT / "keras_graft").rglob("*.py")
    }
    recipes = {
        path.parent.relative_to(ROOT / "launch").as_posix()
        for path in (ROOT / "launch").rglob("*.flags")
    }
    folders |= {
        f"keras_graft.recipes.{name}".removesuffix("..") for name in recipes
    }
    assert set(packages) == folders


def test_only_the_package_itself_is_installed_at_top_level():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = settings["tool"]["setuptools"]["packages"]
    assert {name.partition(".")[0] for name in packages} == {"keras_graft"}
