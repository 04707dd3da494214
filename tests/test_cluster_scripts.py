"""The Slurm script and the Dockerfiles, as far as they go without either."""

import json
import os
import pathlib
import re
import subprocess

import pytest

from keras_graft.runs.cluster import cluster_of

ROOT = pathlib.Path(__file__).resolve().parents[1]
SLURM = ROOT / "launch" / "slurm.sh"

# Starts what the real one starts on each of two hosts, one after the other.
SRUN = """#!/usr/bin/env bash
echo "$@" > srun.txt
while [[ $1 == --* ]]; do shift; done
worst=0
for task in 0 1; do
    SLURM_PROCID=$task "$@" || worst=$?
done
exit $worst
"""
SCONTROL = """#!/usr/bin/env bash
[[ "$*" == "show hostnames node[7-8]" ]] && printf 'node7\\nnode8\\n'
"""
PYTHON = """#!/usr/bin/env bash
printf '%s\\t' "$TF_CONFIG" "$@" >> started.txt
echo >> started.txt
echo "$KERAS_GRAFT_JOB_TOKEN" >> tokens.txt
exit 143
"""


@pytest.fixture
def started(tmp_path):
    commands = {"srun": SRUN, "scontrol": SCONTROL, "python-stub": PYTHON}
    for name, text in commands.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        ["bash", SLURM, "--flagfile=my recipe.flags", "--epochs=3"],
        cwd=tmp_path,
        env={
            "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
            "PYTHON": str(tmp_path / "python-stub"),
            "SLURM_JOB_NODELIST": "node[7-8]",
            "SLURM_JOB_ID": "123456",
        },
        capture_output=True,
        text=True,
    )
    lines = (tmp_path / "started.txt").read_text().splitlines()
    return done, [line.split("\t")[:-1] for line in lines], tmp_path


def test_slurm_starts_one_worker_a_host_with_a_task_of_its_own(started):
    done, calls, folder = started
    clusters = [
        cluster_of("multiworker", {"TF_CONFIG": config}) for config, *_ in calls
    ]
    assert [cluster.index for cluster in clusters] == [0, 1]
    assert clusters[0].addresses == clusters[1].addresses
    hosts = [a.partition(":")[0] for a in clusters[0].addresses]
    assert hosts == ["node7", "node8"]
    for _, *arguments in calls:
        assert arguments == [
            "-m",
            "keras_graft.launch",
            "--strategy=multiworker",
            "--flagfile=my recipe.flags",
            "--epochs=3",
        ]
    assert "--ntasks-per-node=1" in (folder / "srun.txt").read_text()


def test_slurm_gives_the_workers_one_secret(started):
    _, _, folder = started
    first, second = (folder / "tokens.txt").read_text().splitlines()
    assert first == second
    assert re.fullmatch("[0-9a-f]{64}", first)


def test_slurm_ends_with_the_exit_code_of_the_workers(started):
    done, _, _ = started
    assert done.returncode == 143, done.stderr


def test_each_task_of_an_array_works_at_the_study_with_one_thread(tmp_path):
    stub = tmp_path / "python-stub"
    stub.write_text(
        '#!/usr/bin/env bash\nprintf "%s\\t" "$TF_NUM_INTRAOP_THREADS" '
        '"$TF_NUM_INTEROP_THREADS" "$@"\nexit 143\n'
    )
    stub.chmod(0o755)
    done = subprocess.run(
        ["bash", ROOT / "launch" / "compare_array.sh", "--workdir=my study"],
        env={"PATH": os.environ["PATH"], "PYTHON": str(stub)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 143, done.stderr
    words = ["1", "1", "-m", "keras_graft.compare", "--workdir=my study"]
    assert done.stdout.split("\t")[:-1] == words


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_image_is_made_of_files_that_are_there(kind):
    text = (ROOT / "launch" / f"Dockerfile.{kind}").read_text()
    copied = [
        source
        for line in re.findall(r"^COPY (.+)$", text, re.MULTILINE)
        for source in line.split()[:-1]
    ]
    assert {"constraints.txt", "pyproject.toml", "keras_graft"} <= set(copied)
    sent = (ROOT / ".dockerignore").read_text().splitlines()
    for source in copied:
        assert (ROOT / source).exists()
        assert f"!{source}" in sent
    assert "-c constraints.txt" in text
    assert ("and-cuda" in text) == (kind == "gpu")
    (entry,) = re.findall(r"^ENTRYPOINT (.+)$", text, re.MULTILINE)
    assert json.loads(entry) == ["python", "-m", "keras_graft.launch"]
