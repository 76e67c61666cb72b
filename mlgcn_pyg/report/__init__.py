"""Plots of graphs and results, and tables for the terminal.

The plots are in :mod:`mlgcn_pyg.report.plots`, which needs matplotlib and networkx.
"""

from mlgcn_pyg.report.tables import edge_table, table1

__all__ = ["edge_table", "table1"]
