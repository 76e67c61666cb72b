"""The setup of a run of a whole network, which a folder compares before it resumes the run."""

from dataclasses import asdict

from mlgcn_pyg.features.provenance import manifest_digest
from mlgcn_pyg.files.atomic import tensor_digest
from mlgcn_pyg.nn import MLGCN
from mlgcn_pyg.training.config import ModelConfig
from mlgcn_pyg.typing import LabeledDataset

# settings that change where and how the network is computed, but not what is computed
EXECUTION_SETTINGS = ("num_workers", "cpu", "compile", "channels_last", "accumulate")


def describe_model_run(model: MLGCN, train: LabeledDataset, val: LabeledDataset | None, config: ModelConfig) -> dict:
    """Returns the values that a run must share with a stored run to resume it: recipe, network and data."""
    recipe = {name: value for name, value in asdict(config).items() if name not in EXECUTION_SETTINGS}
    shapes = {name: list(p.shape) for name, p in model.head.named_parameters()}
    fixed = {name: value for name, value in model.head.state_dict().items() if name not in shapes}
    backbone = {name: getattr(model.backbone, name, None) for name in ("name", "pool", "num_features", "weights")}
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    return {
        "recipe": recipe,
        "network": {"backbone": backbone, "head": shapes, "graph": tensor_digest(fixed), "fixed": frozen},
        "labels": list(model.label_names),
        "train": _describe_dataset(train),
        "val": None if val is None else _describe_dataset(val),
    }


def _describe_dataset(data: LabeledDataset) -> dict:
    size = list(data[0][0].shape[-2:])
    return {"images": len(data), "digest": manifest_digest(data), "image_size": size}
