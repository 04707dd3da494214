"""Where the time of a step goes, from what TensorFlow's profiler wrote.

On a GPU every kernel and copy is there, by stream: where no stream works the
device waits for the host. On a CPU operations take their place, by thread.
"""

import collections
import pathlib
import re
from collections.abc import Iterable
from typing import Any

from tensorflow.tsl.profiler.protobuf import xplane_pb2

_PICOSECONDS = 1e-12
_PS_PER_NS = 1000
# Upper ends of the kinds of gaps, in microseconds. Between kernels that wait
# in a queue pass a few.
_GAPS_US = (5, 50, float("inf"))
_LONGEST = 20


def read(folder: str) -> xplane_pb2.XSpace:
    """The profile that was written last into a folder.

    Raises:
        FileNotFoundError: If there is none.
    """
    files = sorted(pathlib.Path(folder).rglob("*.xplane.pb"))
    if not files:
        raise FileNotFoundError(f"The profiler wrote nothing into {folder}.")
    space = xplane_pb2.XSpace()
    space.ParseFromString(files[-1].read_bytes())
    return space


def summary(space: xplane_pb2.XSpace, steps: int) -> dict[str, Any]:
    """What a device did in a step, on average.

    Args:
        space: A profile of whole steps and nothing else.
        steps: How many.

    Returns:
        `device`; of one step `kernels` (how many), `work_seconds` (all
        kernels), `busy_seconds` (while at least one ran) and `gap_seconds`
        (from the first kernel's begin to the last one's end while none ran);
        `gaps`, these by length: `count` and `seconds` of one step; `longest`,
        the kinds of kernel that took most: `name`, `count`, `seconds` of one
        step. Numbers at the end of a name do not make another kind.

    Raises:
        ValueError: If there is no kernel in it.
    """
    plane, events = _kernels(space)
    spans = sorted((begin, end) for _, begin, end in events)
    gaps = _gaps(spans)
    per_step = _PICOSECONDS / steps
    kinds = collections.defaultdict(list)
    for name, begin, end in events:
        kinds[_kind(name)].append(end - begin)
    longest = sorted(kinds.items(), key=lambda item: -sum(item[1]))
    whole = max(end for _, end in spans) - spans[0][0]
    return {
        "device": plane.name,
        "kernels": len(events) / steps,
        "work_seconds": sum(end - begin for begin, end in spans) * per_step,
        "busy_seconds": (whole - sum(gaps)) * per_step,
        "gap_seconds": sum(gaps) * per_step,
        "gaps": _by_length(gaps, steps),
        "longest": [
            {
                "name": name,
                "count": len(durations) / steps,
                "seconds": sum(durations) * per_step,
            }
            for name, durations in longest[:_LONGEST]
        ],
    }


def _kernels(space):
    """The plane of the device, and its (name, begin, end) in picoseconds."""
    gpus = [p for p in space.planes if p.name.startswith("/device:GPU")]
    for plane in gpus or space.planes:
        found = list(_events(plane, bool(gpus)))
        if found:
            return plane, found
    lines = {p.name: [line.name for line in p.lines] for p in space.planes}
    raise ValueError(
        "The profile holds no kernel of a GPU and no operation of a CPU. "
        f"Its planes and their lines: {lines}"
    )


def _events(plane, gpu) -> Iterable[tuple[str, int, int]]:
    stats = {m.id: m.name for m in plane.stat_metadata.values()}
    for line in plane.lines:
        if gpu and not line.name.startswith("Stream"):
            continue  # Sums over what the streams show.
        for event in line.events:
            about = plane.event_metadata[event.metadata_id]
            name = about.name
            if not gpu:
                name = _operation(about, event, stats)
            if name and event.duration_ps:
                begin = line.timestamp_ns * _PS_PER_NS + event.offset_ps
                yield name, begin, begin + event.duration_ps


def _operation(about, event, stats):
    """The operation of a CPU that an event shows, or None."""
    if any(stats[s.metadata_id] == "hlo_op" for s in event.stats):
        return about.name  # Compiled by XLA.
    kind = about.display_name
    return kind if kind and not kind.startswith("Iterator") else None


def _kind(name):
    return re.sub(r"([._]\d+)+$", "", name)


def _gaps(spans):
    """Lengths of the times that no span covers; spans in order."""
    gaps, reached = [], spans[0][0]
    for begin, end in spans:
        if begin > reached:
            gaps.append(begin - reached)
        reached = max(reached, end)
    return gaps


def _by_length(gaps, steps):
    found, low = {}, 0.0
    for high in _GAPS_US:
        name = f"{low:g} to {high:g} us"
        inside = [gap for gap in gaps if low <= gap / 1e6 < high]
        found[name] = {
            "count": len(inside) / steps,
            "seconds": sum(inside) * _PICOSECONDS / steps,
        }
        low = high
    return found
