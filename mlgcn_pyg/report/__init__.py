"""Plots of graphs and results, and tables for the terminal.

The plots are in :mod:`mlgcn_pyg.report.plots`, which needs matplotlib and networkx.
"""

from mlgcn_pyg.report.intervals import changed_labels, interval_table, with_limits
from mlgcn_pyg.report.tables import edge_table, table1

__all__ = ["changed_labels", "edge_table", "interval_table", "table1", "with_limits"]
