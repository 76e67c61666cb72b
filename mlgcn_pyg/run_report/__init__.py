"""A report page about a run: what it shows is gathered from the files of the run, feature files and photographs."""

from typing import TYPE_CHECKING

from mlgcn_pyg.lazy import lazy_names

if TYPE_CHECKING:
    from mlgcn_pyg.run_report.report import run_content, write_run_report

__all__ = ["run_content", "write_run_report"]

# The sentences of the verdict, which train-head prints, require neither images nor checkpoints.
__getattr__, __dir__ = lazy_names(__name__, dict.fromkeys(__all__, "mlgcn_pyg.run_report.report"))
