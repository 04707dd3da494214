"""The documentation site: its links, its log keys and its public names.

`make docs` builds it, where mkdocs is; what it is made of is looked at here.
"""

import importlib.util
import pathlib
import posixpath
import re

import builders
import pytest

import keras_graft

ROOT = pathlib.Path(__file__).resolve().parents[1]
LINK = re.compile(r"\]\(([^)\s]+)\)")


@pytest.fixture(scope="module")
def site():
    path = ROOT / "docs" / "repository_pages.py"
    spec = importlib.util.spec_from_file_location("repository_pages", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_page_has_a_place_of_its_own(site):
    places = site.places()
    assert len(set(places.values())) == len(places)
    assert places["README.md"] == "index.md"
    assert places["keras_graft/swa/README.md"] == "parts/swa.md"
    shown = re.findall(r"[\w/]+\.md", (ROOT / "mkdocs.yml").read_text())
    assert set(shown) <= set(places.values())
    cards = {p for p in places if re.fullmatch(r"keras_graft/\w+/README.md", p)}
    guides = {p for p in places if re.fullmatch(r"docs/guides/\w+\.md", p)}
    assert {places[p] for p in cards | guides} <= set(shown)


def test_links_lead_to_places_of_the_site(site):
    places = site.places()
    for name in [name for name in places if name.endswith(".md")]:
        text = site.led((ROOT / name).read_text("utf-8"), name)
        text = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.M)
        for link in LINK.findall(text):
            if not re.match(r"[a-z]+:|#", link):
                folder = posixpath.dirname(places[name])
                target = posixpath.join(folder, link.partition("#")[0])
                assert posixpath.normpath(target) in places.values(), name


def test_a_link_to_what_is_no_page_becomes_its_name(site):
    text = (
        "[a](LICENSE), [b](docs/devices.md#one-gpu)\n```\n[c](LICENSE)\n```\n"
    )
    assert site.led(text, "README.md") == (
        "a, [b](devices.md#one-gpu)\n```\n[c](LICENSE)\n```\n"
    )
    assert site.led("[d](../../README.md)", "keras_graft/swa/README.md") == (
        "[d](../index.md)"
    )


def test_reference_has_every_public_name_once(site):
    text = site.reference()
    for name in keras_graft.__all__:
        value = getattr(keras_graft, name)
        for one in getattr(value, "__all__", [name]):
            assert re.search(rf"\.{one}$|^`{one}`: ", text, re.MULTILINE), one
    homes = re.findall(r"^::: (\S+)$", text, re.MULTILINE)
    assert "keras_graft.trainer.graft_trainer.GraftTrainer" in homes
    assert len(set(homes)) == len(homes)


@pytest.mark.slow
def test_page_of_the_api_names_every_log(images):
    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    named = set(re.findall(r"`(\w+)`", page.partition("## Logs")[2]))
    networks = builders.small_networks(2)
    trainer = builders.make_trainer(networks)
    history = trainer.fit(
        *images,
        validation_data=images,
        verbose=0,
        callbacks=[
            keras_graft.GraftCallback(),
            keras_graft.InvalidFilterMonitor(),
        ],
    ).history
    keys = {
        re.sub(
            r"^(.*_)?accuracy$", r"\1m", re.sub(r"network_\d", "network_k", k)
        )
        for k in (key.removeprefix("val_") for key in history)
    }
    assert {"ensemble_m", "network_k_invalid_filters"} <= keys
    assert keys <= named
