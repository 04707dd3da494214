"""One batch, several views: what each network is given.

A batch may carry an entry of its own for every network: a dict whose keys
are exactly `network_0` ... `network_{N-1}`. Anything else is one batch that
all networks share, a dict of named model inputs included.
"""

from typing import Any


def has_views(data: Any, num_networks: int) -> bool:
    """Whether `data` holds an entry for each network.

    Args:
        data: Inputs, labels or sample weights of a batch.
        num_networks: N.
    """
    keys = {f"network_{k}" for k in range(num_networks)}
    return isinstance(data, dict) and set(data) == keys


def views_of(data: Any, num_networks: int) -> list:
    """Splits a batch into what each network is given.

    Args:
        data: Inputs, labels or sample weights of a batch; may be None.
        num_networks: N.

    Returns:
        List of N entries; the same object N times where it is shared.
    """
    if has_views(data, num_networks):
        return [data[f"network_{k}"] for k in range(num_networks)]
    return [data] * num_networks
