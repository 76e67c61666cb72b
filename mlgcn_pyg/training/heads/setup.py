"""The setup of a run of heads, which a folder compares before it resumes the run."""

from collections.abc import Sequence
from dataclasses import asdict

from mlgcn_pyg.files.atomic import tensor_digest
from mlgcn_pyg.training.config import HeadSettings
from mlgcn_pyg.training.exact_config import ExactConfig
from mlgcn_pyg.training.heads.stacked import head_shape
from mlgcn_pyg.typing import Head, RowSource

DIGEST_BYTES = 2**30  # the digest of a larger cache covers evenly spaced images only


def describe_heads_run(
    heads: Sequence[Head],
    names: Sequence[str],
    configs: Sequence[HeadSettings | ExactConfig],
    train: RowSource,
    val: RowSource | None,
) -> dict:
    """Returns the values that a run must share with a stored run to resume it: configs, heads, graphs and data."""
    setups = {}
    for name, head, config in zip(names, heads, configs, strict=True):
        shapes = {key: list(p.shape) for key, p in head.named_parameters()}
        fixed = {key: value for key, value in head.state_dict().items() if key not in shapes}
        setup = {"label_names": list(head.label_names), "graph": tensor_digest(fixed), "parameters": shapes}
        setups[name] = {"config": asdict(config), "head": head_shape(head) | setup}
    return {"heads": setups, "train": _describe_source(train), "val": None if val is None else _describe_source(val)}


def _describe_source(source: RowSource) -> dict:
    sizes = {"images": source.num_images, "views": source.num_views, "features": source.num_features}
    image_bytes = source.num_views * source.num_features * 4
    sample = source.sample(max(1, DIGEST_BYTES // max(image_bytes, 1)))
    return sizes | {"dtype": str(sample.dtype), "digest": tensor_digest({"f": sample, "t": source.targets})}
