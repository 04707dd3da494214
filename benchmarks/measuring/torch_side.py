"""Side on PyTorch: one process of the reference's protocol.

Started by `Side("torch_side", config)`. Config: `workload`, `folder` (one for
all processes), `compiled`, `position` of this process in the ring, and
`tokens`, the file descriptors of a pipe: a process trains while it holds a
byte of it. Answers once when everything is imported; then

| request | answer |
| --- | --- |
| `start` | `parameters`, and `threads` that PyTorch takes by itself |
| `epoch`, `parts` | seconds of `train`, `validate`, `save`, `graft`; `cpu` |
| `steps`, `count` | `seconds`, `cpu_seconds` of a step on a resident batch |
| `graft`, `fast` | `seconds` of save, wait and graft alone |

`parts` shortens an epoch to one of so many equal parts of its images. Each
request carries a `mode`: `threads`, `channels_last`, and `tokens`,
whether processes take turns.
"""

import os
import pathlib
import sys
import time

import torch

from measuring import torch_models
from measuring import torch_protocol
from measuring.side import Channel
from measuring.workload import EVALUATION_BATCH
from measuring.workload import NUM_CLASSES
from measuring.workload import Workload
from measuring.workload import synthetic_images

_KEPT = 2


class Process:
    """One process of N.

    Args:
        workload: What is trained.
        folder: Where checkpoints are exchanged.
        position: This process in the ring, from 0.
        tokens: File descriptors (read, write) of the pipe of tokens.
        compiled: Whether `torch.compile` compiles the network.
    """

    def __init__(
        self,
        workload: Workload,
        folder: pathlib.Path,
        position: int,
        tokens: tuple[int, int],
        compiled: bool = False,
    ):
        torch.manual_seed(position)
        self.default_threads = torch.get_num_threads()
        device = torch_models.device()
        self.network = torch_models.build(workload.model, NUM_CLASSES)
        self.network.to(device)
        if workload.precision == "bfloat16":
            computed = torch.autocast(device.type, torch.bfloat16)
            self.network.forward = computed(self.network.forward)
        if compiled:
            self.network.compile()
        self._optimizer = torch.optim.SGD(
            self.network.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4
        )
        self._training, self._validation = (
            torch_protocol.Loader(
                *synthetic_images(count, seed, workload.image_size), device
            )
            for seed, count in enumerate(
                (workload.train_images, workload.validation_images)
            )
        )
        self._workload = workload
        self._folder = folder
        self._position = position
        self._tokens = tokens
        self._exchanges = 0
        self._resident = None

    def epoch(self, mode: dict, parts: int) -> dict:
        """Trains, validates, saves, waits for the peer and grafts."""
        self._adopt(mode)
        batch_size = self._workload.batch_size
        steps = max(1, self._workload.steps // parts)
        looked_at = max(1, self._workload.validation_images // parts)
        cpu = time.process_time()
        with _Turn(self._tokens, mode["tokens"]):
            marks = [time.perf_counter()]
            torch_protocol.train_epoch(
                self.network,
                self._optimizer,
                self._training.training(batch_size, steps),
            )
            marks.append(time.perf_counter())
            torch_protocol.evaluate(
                self.network,
                self._validation.evaluation(EVALUATION_BATCH, looked_at),
            )
            marks.append(time.perf_counter())
            self._save()
            marks.append(time.perf_counter())
        grafted = self._graft(mode, torch_protocol.histogram_entropy)
        train, validate, save = (
            end - begin for begin, end in zip(marks, marks[1:])
        )
        return {
            "train": train,
            "validate": validate,
            "save": save,
            "graft": grafted,
            "cpu": time.process_time() - cpu,
        }

    def steps(self, mode: dict, count: int) -> dict:
        """Trains on one batch that is there already, and does no more."""
        self._adopt(mode)
        if self._resident is None:
            self._resident = next(
                self._training.training(self._workload.batch_size, 1)
            )
        self.network.train()
        with _Turn(self._tokens, mode["tokens"]):
            begin, cpu = time.perf_counter(), time.process_time()
            for _ in range(count):
                loss, _ = torch_protocol.train_step(
                    self.network, self._optimizer, *self._resident
                )
            # Waits for what runs beside Python on a GPU.
            loss.item()
            seconds = time.perf_counter() - begin
            cpu = time.process_time() - cpu
        return {"seconds": seconds / count, "cpu_seconds": cpu / count}

    def graft(self, mode: dict, fast: bool) -> dict:
        """Saves and grafts, as at the end of an epoch."""
        self._adopt(mode)
        begin = time.perf_counter()
        with _Turn(self._tokens, mode["tokens"]):
            self._save()
        self._graft(
            mode,
            torch_protocol.fast_entropy
            if fast
            else torch_protocol.histogram_entropy,
        )
        return {"seconds": time.perf_counter() - begin}

    def _adopt(self, mode):
        torch.set_num_threads(mode["threads"])
        layout = torch.contiguous_format
        if mode["channels_last"]:
            layout = torch.channels_last
        self.network.to(memory_format=layout)
        for state in self._optimizer.state.values():
            momentum = state["momentum_buffer"]
            if momentum is not None and momentum.ndim == 4:
                state["momentum_buffer"] = momentum.contiguous(
                    memory_format=layout
                )

    def _save(self):
        torch_protocol.save(self.network, self._file(self._position))
        # The reference keeps every file.
        old = self._file(self._position, self._exchanges - _KEPT)
        old.unlink(missing_ok=True)

    def _graft(self, mode, entropy):
        peer_position = (self._position - 1) % self._workload.networks
        peer = torch_protocol.wait_for(self._file(peer_position))
        with _Turn(self._tokens, mode["tokens"]):
            begin = time.perf_counter()
            torch_protocol.graft(self.network, peer, entropy)
            seconds = time.perf_counter() - begin
        self._exchanges += 1
        return seconds

    def _file(self, position, exchange=None):
        number = self._exchanges if exchange is None else exchange
        return self._folder / f"ckpt{position}_{number}.pt"


class _Turn:
    """Holds a token, where processes take turns."""

    def __init__(self, tokens, needed):
        self._read, self._write = tokens
        self._needed = needed

    def __enter__(self):
        if self._needed:
            os.read(self._read, 1)

    def __exit__(self, *error):
        if self._needed:
            os.write(self._write, b"t")


def main() -> int:
    channel = Channel()
    config = channel.receive()
    channel.send(ready=True)
    channel.receive()
    workload = Workload(**config["workload"])
    process = Process(
        workload,
        pathlib.Path(config["folder"]),
        config["position"],
        tuple(config["tokens"]),
        config["compiled"],
    )
    channel.send(
        parameters=torch_models.count_parameters(process.network),
        threads=process.default_threads,
    )
    tools = {
        "epoch": process.epoch,
        "steps": process.steps,
        "graft": process.graft,
    }
    while True:
        request = channel.receive()
        channel.send(**tools[request.pop("do")](**request))


if __name__ == "__main__":
    sys.exit(main())
