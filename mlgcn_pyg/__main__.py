"""``python -m mlgcn_pyg`` is ``mlgcn``."""

from mlgcn_pyg.cli.main import app

app()
