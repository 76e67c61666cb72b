"""Trained heads and networks in folders and on the Hugging Face Hub, with model cards."""

from mlgcn_pyg.hub.card import model_card
from mlgcn_pyg.hub.model import HubModel
from mlgcn_pyg.hub.results import RunResults

__all__ = ["HubModel", "RunResults", "model_card"]
