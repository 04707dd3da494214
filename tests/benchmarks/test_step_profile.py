"""Where the time of a step goes, from profiles that are written here."""

import pytest
from measuring import step_profile
from tensorflow.tsl.profiler.protobuf import xplane_pb2

US = 1_000_000  # Picoseconds.


def write_profile(plane_name, lines):
    """A profile of one plane.

    Args:
        plane_name: Its name.
        lines: By name: events of name, display name, begin and end in us,
            and whether XLA compiled it.
    """
    space = xplane_pb2.XSpace()
    space.planes.add(name="/host:metadata")
    plane = space.planes.add(name=plane_name)
    plane.stat_metadata[1].id = 1
    plane.stat_metadata[1].name = "hlo_op"
    for name, events in lines.items():
        # Lines need not begin at the same time.
        line = plane.lines.add(name=name, timestamp_ns=7000)
        for what, shown, begin, end, compiled in events:
            number = len(plane.event_metadata) + 1
            about = plane.event_metadata[number]
            about.id, about.name, about.display_name = number, what, shown
            event = line.events.add(
                metadata_id=number,
                offset_ps=round((begin - 7) * US),
                duration_ps=round((end - begin) * US),
            )
            if compiled:
                event.stats.add(metadata_id=1, str_value=what)
    return space


def test_kernels_of_all_streams_and_gaps_between_them():
    space = write_profile(
        "/device:GPU:0",
        {
            "Stream #1(Compute)": [
                ("conv_1", "", 10, 20, False),
                ("conv_2.7", "", 23, 33, False),
                ("add", "", 133, 135, False),
            ],
            "Stream #2(Memcpy)": [("copy", "", 15, 25, False)],
            "XLA Ops": [("sum_of_all", "", 0, 500, False)],
        },
    )
    found = step_profile.summary(space, steps=2)
    assert found["device"] == "/device:GPU:0"
    assert found["kernels"] == 2
    assert found["work_seconds"] == pytest.approx(16e-6)
    assert found["busy_seconds"] == pytest.approx(12.5e-6)
    assert found["gap_seconds"] == pytest.approx(50e-6)
    assert found["gaps"]["50 to inf us"] == {
        "count": 0.5,
        "seconds": pytest.approx(50e-6),
    }
    assert found["gaps"]["0 to 5 us"]["count"] == 0
    first, second, _ = found["longest"]
    assert first == {
        "name": "conv",
        "count": 1,
        "seconds": pytest.approx(10e-6),
    }
    assert second["name"] == "copy"


def test_operations_of_a_cpu_take_the_place_of_kernels():
    space = write_profile(
        "/host:CPU",
        {
            "tf_Compute/1": [
                ("ThreadpoolListener::StartRegion", "", 10, 10, False),
                ("ExecutorState::Process", "", 10, 90, False),
                ("net/conv:Conv2D", "Conv2D", 10, 30, False),
                ("Iterator::Root", "Iterator::Prefetch", 30, 90, False),
                ("fusion.3", "", 34, 44, True),
            ]
        },
    )
    found = step_profile.summary(space, steps=1)
    assert [kind["name"] for kind in found["longest"]] == ["Conv2D", "fusion"]
    assert found["busy_seconds"] == pytest.approx(30e-6)
    assert found["gaps"]["0 to 5 us"]["count"] == 1


def test_profile_without_kernels_is_refused_with_what_is_there():
    events = [("kernel", "", 10, 20, False)]
    space = write_profile("/device:GPU:0", {"Queue 3": events})
    with pytest.raises(ValueError, match="no kernel.*Queue 3"):
        step_profile.summary(space, steps=1)


def test_folder_without_a_profile_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="wrote nothing"):
        step_profile.read(str(tmp_path))
