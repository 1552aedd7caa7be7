"""charrnn: train a character-level recurrent network on any text, and let it write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from charrnn.model import Model, load

__version__ = "0.1.0"
__all__ = ["Model", "__version__", "load"]


def __getattr__(name: str) -> Any:
    # `charrnn --help` passes through here, and must not wait for NumPy
    if name in ("load", "Model"):
        from charrnn import model

        return getattr(model, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
