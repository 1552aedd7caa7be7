"""The recurrent cells: everything that differs from one kind of network to another.

kinds    what a cell is, and an entry for each of charrnn's own

Cells from elsewhere have a place in `charrnn.registry`.
"""

from charrnn.cells.kinds import CELLS, OPEN, SHUT, Cell, CpuThresholds

__all__ = ["CELLS", "OPEN", "SHUT", "Cell", "CpuThresholds"]
