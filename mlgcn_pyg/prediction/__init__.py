"""Predicts the labels of new images with a trained network."""

from mlgcn_pyg.prediction.opening import open_model
from mlgcn_pyg.prediction.photographs import find_images
from mlgcn_pyg.prediction.predict import Prediction, Predictor

__all__ = ["Prediction", "Predictor", "find_images", "open_model"]
