"""Sides that take turns, and what else the machine does meanwhile."""

import os
import subprocess
import sys
import time

import pytest
from measuring import memory
from measuring.side import Side
from measuring.side import SideError
from measuring.turns import Deadline
from measuring.turns import IdleWatch
from measuring.turns import interleave


def test_sides_take_turns_forwards_and_backwards():
    order = []
    turns = {name: lambda name=name: order.append(name) for name in "abc"}
    found = interleave(turns, 2, Deadline(60), lambda line: None)
    assert "".join(order) == "abccba"
    assert {name: len(values) for name, values in found.items()} == {
        "a": 2,
        "b": 2,
        "c": 2,
    }


def test_what_was_found_is_kept_after_each_round():
    kept = []
    interleave(
        {"a": lambda: 1, "b": lambda: 2},
        2,
        Deadline(60),
        lambda line: None,
        lambda found: kept.append({k: list(v) for k, v in found.items()}),
    )
    assert kept == [{"a": [1], "b": [2]}, {"a": [1, 1], "b": [2, 2]}]


def test_no_round_begins_that_would_end_late():
    lines = []
    turns = {"slow": lambda: time.sleep(0.2)}
    found = interleave(turns, 100, Deadline(0.7), lines.append)
    assert 1 <= len(found["slow"]) <= 3
    assert len(lines) == len(found["slow"])


def test_first_round_begins_even_without_time():
    found = interleave({"a": lambda: 1}, 5, Deadline(0.0), lambda line: None)
    assert found == {"a": [1]}


def test_busy_side_at_rest_is_noticed():
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        watch = IdleWatch({"measured": [os.getpid()], "other": [busy.pid]})
        watch.turn("measured", lambda: time.sleep(0.5))()
        calm = IdleWatch({"measured": [os.getpid()]})
        calm.turn("measured", lambda: time.sleep(0.1))()
    finally:
        busy.kill()
        busy.wait()
    assert watch.fraction > 0.1
    assert calm.fraction == 0


def test_memory_of_children_counts():
    hold = "import sys; x = bytearray(100 << 20); print(flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", hold],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        with memory.PeakMemory([os.getpid()]) as with_child:
            child.stdout.readline()
        assert child.pid in memory.process_tree([os.getpid()])
        assert with_child.mib > memory.pss_mib(os.getpid()) + 90
    finally:
        child.communicate(b"\n")
    assert memory.pss_mib(child.pid) == 0


def test_side_that_ends_is_named_with_its_last_words(tmp_path):
    with Side("no_such_side", {}, tmp_path / "log") as side:
        with pytest.raises(
            SideError, match="(?s)no_such_side ended.*No module"
        ):
            side.receive()


def test_side_that_does_not_answer_is_not_waited_for(tmp_path):
    with Side("workload", {}, tmp_path / "log") as side:
        with pytest.raises(SideError, match="gave no answer in 0 s"):
            side.receive(limit_seconds=0.0)
