"""A network that torch.compile has wrapped, saved and read under the names that it has without."""

from __future__ import annotations

from typing import Any, cast

from torch import nn

from charrnn.network import Network

_WRAPPED = "_orig_mod"  # as it stands in the names of wrapped weights


def inner(network: nn.Module) -> Network:
    """The network itself, whether it is wrapped or not."""
    return cast(Network, dict(network.named_children()).get(_WRAPPED, network))


def without_wrapping(state_dict: dict[str, Any], network: nn.Module, prefix: str) -> None:
    """Give the weights of a network in a state dict the names that it has without wrapping."""
    _rename(state_dict, network, inner(network), prefix)


def with_wrapping(state_dict: dict[str, Any], network: nn.Module, prefix: str) -> None:
    """Give them the names that it has now."""
    _rename(state_dict, inner(network), network, prefix)


def _rename(state_dict: dict[str, Any], old: nn.Module, new: nn.Module, prefix: str) -> None:
    if old is not new:
        for before, after in zip(old.state_dict(), new.state_dict(), strict=True):
            if prefix + before in state_dict:
                state_dict[prefix + after] = state_dict.pop(prefix + before)
