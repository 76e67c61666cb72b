"""Predicts the labels of new images with a trained network."""

from mlgcn_pyg.prediction.explanation import Explanation, LabelExplanation
from mlgcn_pyg.prediction.loading import load
from mlgcn_pyg.prediction.opening import open_model
from mlgcn_pyg.prediction.photographs import find_images
from mlgcn_pyg.prediction.predictions import Prediction, Predictions
from mlgcn_pyg.prediction.predictor import Predictor

__all__ = [
    "Explanation",
    "LabelExplanation",
    "Prediction",
    "Predictions",
    "Predictor",
    "find_images",
    "load",
    "open_model",
]
