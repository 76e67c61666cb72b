"""``mlgcn evaluate``: the paper's metrics of trained heads on a feature file."""

from pathlib import Path
from typing import Annotated

import typer

from mlgcn_pyg.cli import common
from mlgcn_pyg.errors import InputError


def evaluate(
    checkpoint: Annotated[list[Path], typer.Option(help="A head, a network or a folder of heads; may be repeated.")],
    cache: Annotated[Path, typer.Option(help="Feature file to score on.")],
    json_out: Annotated[Path | None, typer.Option("--json", help="Also write the numbers to this file.")] = None,
    device: common.Device = "auto",
) -> None:
    """Score trained heads on cached features."""
    from mlgcn_pyg.checkpoints import load_checkpoint
    from mlgcn_pyg.evaluation import mean_and_std, table1_row
    from mlgcn_pyg.features import FeatureCache
    from mlgcn_pyg.report import table1
    from mlgcn_pyg.training import score

    files = [file for path in checkpoint for file in (sorted(path.glob("*-seed*.pt")) if path.is_dir() else [path])]
    if not files:
        raise InputError(
            "checkpoint", "at least one head (*-seed*.pt in a folder)", f"none in {', '.join(map(str, checkpoint))}"
        )
    data, device, rows = FeatureCache(cache), common.pick_device(device), {}
    for file in files:
        loaded = load_checkpoint(file)
        loaded.check_features(f"cache ({cache})", data.meta)
        rows[str(file)] = table1_row(*score(loaded.head, data, device), loaded.label_names)
    short = len({Path(name).stem for name in rows}) == len(rows)
    shown = {
        Path(name).stem if short else name: dict(zip(("mean", "std"), mean_and_std([row]), strict=True))
        for name, row in rows.items()
    }
    common.show_table(table1(shown, f"{cache.name}, {len(data)} images"))
    if json_out is not None:
        common.write_json(json_out, {"cache": str(cache), "images": len(data), "checkpoints": rows})
        common.out.print(f"wrote {json_out}", soft_wrap=True)
