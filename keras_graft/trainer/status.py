"""Whether each network is live, masked or retired."""

from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import keras

LIVE = "live"
MASKED = "masked"
RETIRED = "retired"


class StatusList(Sequence):
    """The status of each network; an entry can be assigned."""

    def __init__(self, health: Any):
        self._health = health

    def __len__(self) -> int:
        return self._health.masked.shape[0]

    def __getitem__(self, k: int) -> str:
        k = range(len(self))[k]
        if float(self._health.retired[k]):
            return RETIRED
        return MASKED if float(self._health.masked[k]) else LIVE

    def __setitem__(self, k: int, status: str) -> None:
        if status not in (LIVE, MASKED, RETIRED):
            raise ValueError(
                f"A status is 'live', 'masked' or 'retired'. Received: "
                f"{status!r}"
            )
        k = range(len(self))[k]
        for variable, name in (
            (self._health.masked, MASKED),
            (self._health.retired, RETIRED),
        ):
            values = keras.ops.convert_to_numpy(variable).copy()
            values[k] = float(status == name)
            variable.assign(values)
        if status == RETIRED:
            self._health.remember_retired(k)

    def __iter__(self) -> Iterator[str]:
        return (self[k] for k in range(len(self)))

    def __eq__(self, other) -> bool:
        return list(self) == list(other)

    def __repr__(self) -> str:
        return repr(list(self))
