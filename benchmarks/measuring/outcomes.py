"""A plugin of pytest that writes what became of each test, as it goes.

PYTHONPATH=benchmarks pytest -p measuring.outcomes --outcomes=FILE
"""

from measuring import json_file
from measuring.machine import describe_machine

_WORDS = 2000


def pytest_addoption(parser):
    parser.addoption("--outcomes", help="JSON file to write.")


def pytest_configure(config):
    path = config.getoption("outcomes")
    if path:
        config.pluginmanager.register(_Outcomes(path))


class _Outcomes:
    def __init__(self, path):
        self._path = path
        self._result = {"machine": describe_machine(), "tests": []}

    def pytest_runtest_logreport(self, report):
        # A test that fails before or after its own lines failed, too.
        if report.when != "call" and report.outcome == "passed":
            return
        test = {"test": report.nodeid, "outcome": report.outcome}
        test["seconds"] = report.duration
        if report.failed:
            test["error"] = str(report.longrepr)[-_WORDS:]
        self._result["tests"].append(test)
        json_file.write(self._path, self._result)
