"""What a careful editor might write into a checkpoint, and its refusal."""

import numpy as np


def assign(where, *path, to):
    def change(arrays, state):
        entry = {"arrays": arrays, "state": state}[where]
        for key in path[:-1]:
            entry = entry[key]
        entry[path[-1]] = to(entry[path[-1]]) if callable(to) else to

    return change


def of_callback(callback, name, to):
    return assign("state", "callbacks", callback, "dict", name, to=to)


def number(value):
    return lambda array: np.full_like(array, value)


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
    *[
        (assign("state", "history", "foo", to=value), f"`history.foo{at}")
        for value, at in (
            ([["a"], ["b"]], r"\[0\]"),
            ([0.5, ["a", {"x": 1}]], r"\[1\]"),
            ([[[1.0, None]]], r"\[0\]"),
            ([[[1.0], [1.0, 2.0]]], r"\[0\]"),
            ([True], r"\[0\]"),
            ([10**400], r"\[0\]"),
            ([[10**400]], r"\[0\]"),
        )
    ],
    (assign("state", "seconds", to=4e9), "`seconds`"),
    (assign("state", "epochs", to=[0, 10**30]), "`epochs"),
    (assign("state", "not_finite", to=["trainer/nowhere"]), "`not_finite`"),
    (
        assign("state", "not_finite", to=[KERNEL]),
        f"`not_finite` names {KERNEL}",
    ),
    *[
        (
            of_callback("InvalidFilterMonitor", name, to),
            f"`callbacks.InvalidFilterMonitor.{name}",
        )
        for name, to in (
            ("before", []),
            ("before", None),
            ("before", [99999, 2]),
            ("before", [0, 0, 0]),
            ("before", [10**30, 0]),
            ("before", [0, 0.5]),
            ("history", [[0, 99999]]),
            ("history", [[0]]),
            ("history", [[0, 0]] * 3),
        )
    ],
    (
        of_callback("EarlyStopping", "wait", 3),
        "`callbacks.EarlyStopping.wait` is 3, and 2 epochs are done",
    ),
    (
        of_callback("EarlyStopping", "best_epoch", 10**30),
        "`callbacks.EarlyStopping.best_epoch`",
    ),
    (
        of_callback("StochasticWeightAveraging", "num_epochs", [10**30, 1]),
        "`callbacks.StochasticWeightAveraging`",
    ),
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
    (
        assign("arrays", "network_1/0004/variance", to=number(-1)),
        "network_1/0004/variance has -1 in it",
    ),
    (
        assign("arrays", "optimizer_1/0002/momentum", to=number(np.nan)),
        "optimizer_1/0002/momentum is not finite, and network_1 is live",
    ),
    (
        assign(
            "arrays",
            "callback/StochasticWeightAveraging/means/0/1",
            to=number(np.inf),
        ),
        "`callbacks.StochasticWeightAveraging` is no state",
    ),
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
            ("healings", 1e30),
            ("masked", 1e30),
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
