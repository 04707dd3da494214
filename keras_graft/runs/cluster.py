"""The processes that train together, as `TF_CONFIG` names them.

    TF_CONFIG={"cluster": {"worker": ["host0:12345", "host1:12345"]},
               "task": {"type": "worker", "index": 0}}

Every process has the same `cluster` and its own `task`. No TensorFlow in
here, so that what is wrong is said in a blink.
"""

import collections
import dataclasses
import ipaddress
import json
import re
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

from keras_graft.runs.exit_codes import RunError

_EXAMPLE = (
    '{"cluster": {"worker": ["host0:12345", "host1:12345"]}, '
    '"task": {"type": "worker", "index": 0}}'
)


# Environment variable: what the workers of one job know and nobody else.
TOKEN = "KERAS_GRAFT_JOB_TOKEN"

# Characters of a TF_CONFIG that a message repeats.
_SHOWN = 1000
_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The workers of a job, and which of them this process is.

    Attributes:
        addresses: `host:port` of each worker, the chief first.
        index: Position of this process among them.
        has_chief: Whether the first of them is a task of the kind `chief`,
            which TensorFlow counts apart from the workers.
        token: What a worker must know to be let in; empty: nothing.
    """

    addresses: tuple[str, ...]
    index: int
    has_chief: bool
    token: str = dataclasses.field(default="", repr=False)

    @property
    def size(self) -> int:
        """Number of workers."""
        return len(self.addresses)

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run directory."""
        return self.index == 0

    @property
    def address(self) -> str:
        """Where this process listens."""
        return self.addresses[self.index]

    def named(self, indices: Iterable[int]) -> str:
        """Workers as a person looks for them: index and address."""
        return ", ".join(f"{i} ({self.addresses[i]})" for i in indices)


def cluster_of(strategy: str, environ: Mapping[str, str]) -> Cluster | None:
    """The cluster that a run is to train on.

    Args:
        strategy: The value of `--strategy`.
        environ: The environment.

    Returns:
        A `Cluster`, or None for a run of one process.

    Raises:
        RunError: If `TF_CONFIG` is missing where `--strategy=multiworker`
            asks for it, or cannot be used.
    """
    if strategy not in ("auto", "multiworker"):
        return None
    text = environ.get("TF_CONFIG", "")
    if strategy == "multiworker" and not text:
        raise RunError(
            "--strategy=multiworker needs the environment variable TF_CONFIG, "
            f"with a task of its own in every process, such as {_EXAMPLE}. "
            "launch/slurm.sh writes it."
        )
    if not text:
        return None
    config = _read(text)
    if strategy == "auto" and not config.get("cluster"):
        return None
    cluster = _checked(config, text)
    return dataclasses.replace(cluster, token=environ.get(TOKEN, ""))


def _read(text: str) -> dict[str, Any]:
    try:
        config = json.loads(text)
    except RecursionError as error:
        raise _refused(text, "it is nested too deeply") from error
    except ValueError as error:
        raise _refused(text, f"it is no JSON ({error})") from error
    if not isinstance(config, dict):
        raise _refused(text, "it is no JSON object")
    return config


def _checked(config: dict[str, Any], text: str) -> Cluster:
    jobs = config.get("cluster")
    if not isinstance(jobs, dict) or not jobs:
        raise _refused(text, "its `cluster` names no workers")
    unknown = sorted(jobs.keys() - {"chief", "worker"})
    if unknown:
        raise _refused(
            text,
            f"its `cluster` has tasks of the kind {', '.join(unknown)}; here "
            "are only `worker` and one `chief`",
        )
    for kind, addresses in jobs.items():
        if not isinstance(addresses, list) or not addresses:
            raise _refused(text, f"`{kind}` is no list of host:port")
        for address in addresses:
            _check_address(address, kind, text)
    chiefs, workers = jobs.get("chief", []), jobs.get("worker", [])
    if len(chiefs) > 1:
        raise _refused(text, f"it has {len(chiefs)} chiefs; one is allowed")
    addresses = (*chiefs, *workers)
    twice = [a for a, n in collections.Counter(addresses).items() if n > 1]
    if twice:
        raise _refused(text, f"{twice[0]} is named twice")
    index = _index(config.get("task"), jobs, text)
    return Cluster(addresses, index, bool(chiefs))


def _index(task: Any, jobs: dict[str, list], text: str) -> int:
    if not isinstance(task, dict):
        raise _refused(text, "it lacks the `task` of this process")
    kind, index = task.get("type"), task.get("index")
    # A list is nothing that could be looked up.
    if not isinstance(kind, str) or kind not in jobs:
        raise _refused(
            text,
            f"its task is of the type {kind!r}, and its cluster has "
            f"{', '.join(sorted(jobs))}",
        )
    # bool is an int to Python.
    if type(index) is not int or not 0 <= index < len(jobs[kind]):
        raise _refused(
            text,
            f"its task has the index {index!r}, and `{kind}` has "
            f"{len(jobs[kind])} entries, counted from 0",
        )
    return index + (len(jobs.get("chief", [])) if kind == "worker" else 0)


def _check_address(address: Any, kind: str, text: str) -> None:
    host, _, port = str(address).rpartition(":")
    if (
        not isinstance(address, str)
        or not _is_host(host)
        or not re.fullmatch("[0-9]{1,5}", port)
        or not 0 < int(port) < 65536
    ):
        raise _refused(
            text,
            f"{address!r} in `{kind}` is no host:port, such as host0:12345 or "
            "[::1]:12345",
        )


def _is_host(text):
    """Whether something is a name, an IPv4 or, in brackets, an IPv6 address."""
    if text.startswith("[") and text.endswith("]"):
        try:
            ipaddress.IPv6Address(text[1:-1])
        except ValueError:
            return False
        return True
    name = text.removesuffix(".")
    return len(name) < 254 and all(
        _NAME.fullmatch(part) for part in name.split(".")
    )


def _refused(text: str, reason: str) -> RunError:
    if len(text) > _SHOWN:
        text = f"{text[:_SHOWN]}... ({len(text)} characters)"
    if len(reason) > _SHOWN:
        reason = f"{reason[:_SHOWN]}..."
    return RunError(
        f"TF_CONFIG cannot be used: {reason}. Received: {text}. Write it like "
        f"{_EXAMPLE}, or unset it and give --strategy=mirrored for the "
        "devices of this host alone."
    )
