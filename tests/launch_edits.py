"""What an editor might write into the checkpoint of a run of two epochs."""

import hashlib

import numpy as np


def log(name, value):
    return lambda state, arrays: state["history"].update({name: value})


def flags(change):
    def edit(state, arrays):
        about = state["about"]
        about["flags"] = change(about["flags"])
        text = about["flags"].encode(errors="surrogatepass")
        about["flags_sha256"] = hashlib.sha256(text).hexdigest()

    return edit


def longer(*changes):
    return lambda state, arrays: state["about"].update(longer=[*changes])


def score(value):
    return lambda state, arrays: arrays.update(
        {"trainer/scores": np.float32([0.5, value])}
    )


EDITS = [
    *[
        (lambda s, a, name=name: s["history"].pop(name), f"`history.{name}`")
        for name in (
            "val_network_1_accuracy",
            "val_ensemble_accuracy",
            "network_0_invalid_filters",
        )
    ],
    (log("val_network_0_accuracy", [0.5]), "`history.val_network_0_accuracy`"),
    (log("foo", [0.5, [0.5]]), "`history.foo[1]`"),
    (log("epoch", [0, 1]), "a log of the name 'epoch'"),
    (log("", [0, 1]), "a log of the name ''"),
    (log("\x1b[2J", [0, 1]), r"a log of the name '\x1b[2J'"),
    (lambda s, a: s.update(epochs=[1, 3]), "`epochs`"),
    (score(np.nan), "trainer/scores is [0.5, nan]"),
    (score(-7), "trainer/scores is [0.5, -7.0]"),
    (score(1e30), "trainer/scores"),
    (longer(["a"]), "`about.longer[0]"),
    (longer([-5, -1, 10**12]), "`about.longer[0][0]`"),
    (longer([1, 10**12, 2]), "`about.longer[0][1]`"),
    (longer([1, 1, 3]), "`about.longer[0]` is [1, 1, 3]"),
    (longer([3, 3, 2]), "`about.longer[0]` is [3, 3, 2]"),
    (longer([1, 1, 2], [1, 2, 2]), "`about.longer[1]` is [1, 2, 2]"),
    (longer([1, 1, 3], [2, 2, 2]), "`about.longer[0]` is [1, 1, 3]"),
    (flags(lambda text: f"{text}--epochs=2\n"), "--epochs more than once"),
    (flags(lambda text: f"{text}--graft\n--nograft\n"), "--graft more than"),
    (flags(lambda text: text.replace("--epochs=2", "")), "--epochs="),
    (
        flags(lambda text: text.replace("--epochs=2", "--epochs=1" + "0" * 30)),
        "--epochs=1000",
    ),
    (
        flags(lambda text: text.replace("--epochs=2", "--epochs=\ud800")),
        "`about.flags` has --epochs=",
    ),
    (
        flags(lambda text: text.replace("threshold=0.1\n", "threshold=-7\n")),
        "threshold=-7: it must be a number in ",
    ),
    (
        flags(lambda text: text.replace("--recompute", "--recompute=maybe")),
        "--recompute=maybe: it must be a switch",
    ),
]
