"""What a careful editor might write into a checkpoint, and its refusal."""

import numpy as np


def assign(where, *path, to):
    def change(arrays, state):
        entry = {"arrays": arrays, "state": state}[where]
        for key in path[:-1]:
            entry = entry[key]
        entry[path[-1]] = to(entry[path[-1]]) if callable(to) else to

    return change


def without(name):
    return lambda arrays, state: state.pop(name)


KERNEL = "network_0/0000/kernel"
STATE = [
    *[
        (without(name), f"missing required field `{name}`")
        for name in (
            "made_by",
            "about",
            "status",
            "stopped",
            "seconds",
            "epochs",
            "history",
            "callbacks",
        )
    ],
    (lambda arrays, state: state.update(more=1), "unknown field `more`"),
    (assign("state", "made_by", to=[]), "`made_by`"),
    (assign("state", "about", to="me"), "`about`"),
    (assign("state", "status", to=["live", "fine"]), "status"),
    (assign("state", "status", to=["live"]), "`status`"),
    (assign("state", "status", to=["live", "retired"]), "`status`"),
    (assign("state", "stopped", to=0), "`stopped`"),
    (assign("state", "seconds", to="1"), "`seconds`"),
    (assign("state", "seconds", to=-1.0), "`seconds`"),
    (assign("state", "seconds", to=float("nan")), "`seconds`"),
    (assign("state", "seconds", to=float("inf")), "`seconds`"),
    (assign("state", "epochs", to=[0, 1.0]), r"`epochs\[1\]`"),
    (assign("state", "epochs", to=[0, 1, 2]), "`epochs`"),
    (assign("state", "epochs", to=[1, 0]), "`epochs`"),
    (assign("state", "epochs", to=[]), "`epochs`"),
    (assign("state", "history", to="went well"), "`history`"),
    (assign("state", "history", "loss", to="went well"), "`history.loss`"),
    (assign("state", "history", "loss", to=[0.1, "x"]), r"`history.loss\[1\]`"),
    (assign("state", "history", "loss", to=[0.1] * 3), "`history.loss`"),
    (assign("state", "callbacks", to=[]), "`callbacks`"),
    (
        assign("state", "callbacks", "EarlyStopping", to=3),
        "`callbacks.EarlyStopping`",
    ),
    (
        assign("state", "callbacks", "EarlyStopping", "dict", "wait", to="x"),
        "`callbacks.EarlyStopping.wait`",
    ),
    (
        assign("state", "callbacks", "EarlyStopping", "dict", "wait", to=-5),
        "`callbacks.EarlyStopping.wait`",
    ),
    (
        assign(
            "state", "callbacks", "EarlyStopping", "dict", "best", to={"x": 1}
        ),
        "`callbacks.EarlyStopping.best`",
    ),
    (
        assign(
            "state",
            "callbacks",
            "EarlyStopping",
            "dict",
            "best_weights",
            to=[[1.0]],
        ),
        "`callbacks.EarlyStopping.best_weights`",
    ),
    (
        assign(
            "state",
            "callbacks",
            "InvalidFilterMonitor",
            "dict",
            "history",
            to=[["many"]],
        ),
        "`callbacks.InvalidFilterMonitor.history",
    ),
    (
        assign("state", "callbacks", "Counter", to={"dict": {}}),
        "`callbacks.Counter` is no state of Counter",
    ),
    (
        assign(
            "state",
            "callbacks",
            "StochasticWeightAveraging",
            "dict",
            "num_epochs",
            to=[-5, 1],
        ),
        "`callbacks.StochasticWeightAveraging`",
    ),
    (
        assign(
            "state",
            "callbacks",
            "StochasticWeightAveraging",
            "dict",
            "means",
            to=lambda means: means[:1],
        ),
        "`callbacks.StochasticWeightAveraging`",
    ),
    (
        assign(
            "state",
            "callbacks",
            "Counter",
            "dict",
            "weights",
            to={"array": KERNEL},
        ),
        KERNEL,
    ),
]
ARRAYS = [
    (lambda arrays, state: arrays.pop(KERNEL), f"missing: {KERNEL}"),
    (
        lambda arrays, state: arrays.update(extra=np.ones(2)),
        "unexpected: extra",
    ),
    (
        lambda arrays, state: arrays.update({"callback/extra": np.ones(2)}),
        "unexpected: callback/extra",
    ),
    (
        lambda arrays, state: arrays.update({f"{KERNEL}@x": arrays[KERNEL]}),
        f"unexpected: {KERNEL}@x",
    ),
    (
        assign("arrays", KERNEL, to=lambda a: a.astype(str)),
        f"type: {KERNEL} is <U",
    ),
    (
        assign("arrays", KERNEL, to=lambda a: a.astype("complex64")),
        f"type: {KERNEL} is complex64",
    ),
    (
        assign("arrays", KERNEL, to=lambda a: a.astype("float64")),
        f"type: {KERNEL} is float64",
    ),
    (assign("arrays", KERNEL, to=lambda a: a[:2]), f"shape: {KERNEL}"),
    (assign("arrays", KERNEL, to=lambda a: a * np.nan), f"{KERNEL} is not fin"),
    (
        assign("arrays", "network_1/0004/variance", to=lambda a: a + np.inf),
        "network_1/0004/variance is not finite",
    ),
    *[
        (
            assign("arrays", f"trainer/{name}", to=np.float32([0, value])),
            f"trainer/{name}",
        )
        for name, value in (
            ("masked", -5),
            ("masked", 0.5),
            ("masked", np.nan),
            ("retired", 2),
            ("retired", -1),
            ("healings", -1),
            ("healings", np.inf),
        )
    ],
    (
        assign("arrays", "trainer/masked", to=np.float32([0, 3])),
        "trainer/masked",
    ),
    (
        assign(
            "arrays",
            "optimizer_0/0000/iteration",
            to=lambda a: np.array(-5, a.dtype),
        ),
        "optimizer_0/0000/iteration",
    ),
    (
        assign(
            "arrays",
            "optimizer_1/0001/rate",
            to=lambda a: np.array(np.nan, a.dtype),
        ),
        "optimizer_1/0001/rate",
    ),
]
