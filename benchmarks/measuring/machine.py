"""Where figures come from."""

import importlib.metadata
import os
import pathlib
import platform

_PACKAGES = ("keras_graft", "keras", "tensorflow", "torch", "numpy")


def describe_machine() -> dict:
    """Processor, versions, and how busy the machine is at this moment."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": versions,
        "load_average": os.getloadavg()[0],
    }


def _processor() -> str:
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
