"""Backbone outputs on disk: computed once, read at the speed of memory."""

from mlgcn_pyg.features.cache import FeatureCache
from mlgcn_pyg.features.extract import broken_images, extract_features

__all__ = ["FeatureCache", "broken_images", "extract_features"]
