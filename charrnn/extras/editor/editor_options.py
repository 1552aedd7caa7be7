"""The options that the editor adds to `charrnn sample`."""

from __future__ import annotations

from dataclasses import dataclass

from charrnn.options.commands import SampleOptions
from charrnn.options.ranges import require


@dataclass(frozen=True, kw_only=True)
class EditorOptions(SampleOptions):
    interactive: bool

    def check(self, prefix: str) -> None:
        super().check(prefix)
        others = {
            "json=true": self.json,
            "mode=lines": self.mode == "lines",
            "a list of temperatures": isinstance(self.temperature, list),
            # of another extra
            "novel=": getattr(self, "novel", False) is not False,
            "report=true": getattr(self, "report", False),
        }
        for other, taken in others.items():
            require(
                not (self.interactive and taken),
                "interactive",
                "true",
                f"does not go with {other}; leave one of them out",
            )
