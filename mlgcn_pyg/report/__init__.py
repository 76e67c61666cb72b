"""Pictures and tables for people."""

from mlgcn_pyg.report.tables import edge_table, table1

__all__ = ["edge_table", "table1"]
