"""Hook of mkdocs: pages that lie beside the code, and the public names.

A page is written once, where readers of the repository look for it; here it
gets a place in the site, and links between pages are led there. A link to a
file that is no page, such as a recipe, becomes its name.
"""

import importlib.util
import os
import pathlib
import posixpath
import re
import types

ROOT = pathlib.Path(__file__).resolve().parents[1]
PUBLIC_NAMES = "<!-- public names -->"
_LINK = re.compile(r"(!?\[(?:[^\[\]]|\[[^\]]*\])*\])\(([^)\s]+)\)")
_CODE = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
_SHOWN = (".ipynb", ".md", ".png", ".svg")
# Where pages and pictures lie that are not in docs/.
_BESIDE = (
    "*.md",
    "*.svg",
    "results/*.*",
    "benchmarks/*.*",
    "keras_graft/*/README.md",
    "keras_graft/*/*.png",
)


def _names(pattern):
    return [path.relative_to(ROOT).as_posix() for path in ROOT.glob(pattern)]


def _place(name):
    """Where a file of the repository lies in the site."""
    parts = pathlib.PurePosixPath(name).parts
    if parts[0] == "docs":
        return posixpath.join(*parts[1:])
    if parts[0] == "keras_graft":
        card = parts[-1] == "README.md"
        return (
            f"parts/{parts[1]}.md" if card else f"parts/{'-'.join(parts[1:])}"
        )
    return posixpath.join(*parts[:-1], parts[-1].replace("README", "index"))


def places():
    """The site's place of each page and picture, by its name here."""
    names = [
        n for pattern in ("docs/**/*.*", *_BESIDE) for n in _names(pattern)
    ]
    return {name: _place(name) for name in names if name.endswith(_SHOWN)}


def public_names():
    """The modules with public names, each with (name, where it is defined)."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    package = importlib.import_module("keras_graft")
    modules = [
        importlib.import_module(f"keras_graft.{name}")
        for name in package.__all__
        if importlib.util.find_spec(f"keras_graft.{name}")
    ]
    found = {}
    for module in (package, *modules):
        own = [getattr(module, name) for name in module.__all__]
        found[module.__name__] = [
            (name, f"{value.__module__}.{value.__qualname__}")
            for name, value in zip(module.__all__, own, strict=True)
            if not isinstance(value, types.ModuleType)
        ]
    return found


def reference():
    """The part of the page of the API that the docstrings fill."""
    parts, seen = [], set()
    for module, names in public_names().items():
        parts.append(f"## {module}\n")
        for name, home in sorted(names):
            if home in seen:
                parts.append(f"`{name}`: [see above][{home}]\n")
                continue
            seen.add(home)
            heading = f"{module}.{name}"
            parts.append(
                f"::: {home}\n    options:\n      heading: {heading}\n"
            )
    return "\n".join(parts)


def on_files(files, config):
    """Adds the pages and pictures that do not lie in docs/."""
    from mkdocs.structure.files import File

    for name, place in places().items():
        if not name.startswith("docs/"):
            path = str(ROOT / name)
            files.append(File.generated(config, place, abs_src_path=path))
    return files


def on_page_markdown(markdown, page, config, files):
    """Leads the links of a page to where their targets are shown."""
    del config, files
    place = page.file.src_uri
    (source,) = [name for name, other in places().items() if other == place]
    if PUBLIC_NAMES in markdown:
        markdown = markdown.replace(PUBLIC_NAMES, reference())
    return led(markdown, source)


def led(markdown, source):
    """A page's text with the links of the site.

    Args:
        markdown: The text, as it lies in the repository.
        source: The page's name there.
    """
    # Every second piece is code.
    pieces = _CODE.split(markdown)
    known = places()

    def lead(match):
        label, link = match.groups()
        if re.match(r"[a-z]+:|#", link):
            return match[0]
        name, mark, anchor = link.partition("#")
        folder = posixpath.dirname(source)
        target = posixpath.normpath(posixpath.join(folder, name))
        if target not in known:
            return label.lstrip("!")[1:-1]
        here = posixpath.dirname(known[source]) or "."
        way = posixpath.relpath(known[target], here)
        return f"{label}({way}{mark}{anchor})"

    pieces[::2] = [_LINK.sub(lead, piece) for piece in pieces[::2]]
    return "".join(pieces)
