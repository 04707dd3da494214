"""Networks that start equal, and would stay one."""

import pytest
from builders import batches
from builders import make_trainer
from builders import sgd
from builders import small_network
from builders import small_networks

import keras_graft


def copies(count, **arguments):
    return keras_graft.replicate(
        small_network(**arguments), count, weights="copy"
    )


def test_networks_that_start_equal_are_named_once(images, caplog):
    trainer = make_trainer([*copies(2), small_network(7)])
    for _ in range(2):
        trainer.fit(batches(images), verbose=0)
    said = [r.getMessage() for r in caplog.records if "equal" in r.getMessage()]
    assert len(said) == 1
    assert said[0].startswith("network_0 and network_1 start with equal")
    assert "They stay one network" in said[0]
    assert "keras_graft.replicate" in said[0]


def test_random_layers_are_said_to_tell_equal_networks_apart(images, caplog):
    make_trainer(copies(2, dropout=0.5)).fit(batches(images), verbose=0)
    assert "Only their random layers" in caplog.text


@pytest.mark.parametrize(
    "case", ["other weights", "other rates", "other views"]
)
def test_networks_with_something_apart_are_left_alone(images, caplog, case):
    x, y = images
    networks, optimizer = copies(2), sgd()
    if case == "other weights":
        networks = small_networks(2)
    elif case == "other rates":
        optimizer = [sgd(0.1), sgd(0.2)]
    else:
        x = {"network_0": x, "network_1": x + 1}
    make_trainer(networks, optimizer=optimizer).fit(x, y, verbose=0)
    assert "equal" not in caplog.text
