"""Heads and networks on disk: checkpoints, linear files, thresholds, and exports for other runtimes."""

from mlgcn_pyg.checkpoints.calibrated import calibrated_checkpoint, save_checkpoint
from mlgcn_pyg.checkpoints.checkpoint import Checkpoint
from mlgcn_pyg.checkpoints.exported import Exported, fold_model
from mlgcn_pyg.checkpoints.files import load_checkpoint, load_head, load_model, save_head, save_model, store_thresholds
from mlgcn_pyg.checkpoints.linear_file import load_linear, save_linear
from mlgcn_pyg.checkpoints.onnx_file import export_onnx
from mlgcn_pyg.checkpoints.onnx_scripts import write_server
from mlgcn_pyg.checkpoints.torch_program import export_torch

__all__ = [
    "Checkpoint",
    "Exported",
    "calibrated_checkpoint",
    "export_onnx",
    "export_torch",
    "fold_model",
    "load_checkpoint",
    "load_head",
    "load_linear",
    "load_model",
    "save_checkpoint",
    "save_head",
    "save_linear",
    "save_model",
    "store_thresholds",
    "write_server",
]
