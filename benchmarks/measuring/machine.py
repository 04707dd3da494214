"""Where figures come from."""

import importlib.metadata
import os
import pathlib
import platform
import shutil
import subprocess

_PACKAGES = ("keras_graft", "keras", "tensorflow", "torch", "numpy")
_NVIDIA_SMI = ("nvidia-smi", "--format=csv,noheader")


def describe_machine() -> dict:
    """Processor, cards, versions, and how busy the machine is now."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "gpus": _gpus(),
        "python": platform.python_version(),
        "versions": versions,
        "load_average": os.getloadavg()[0],
    }


def _processor() -> str:
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _gpus() -> list[str]:
    """Name, memory and driver of each NVIDIA card; none without the tool."""
    if shutil.which(_NVIDIA_SMI[0]) is None:
        return []
    done = subprocess.run(
        [*_NVIDIA_SMI, "--query-gpu=name,memory.total,driver_version"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.splitlines() if done.returncode == 0 else []
