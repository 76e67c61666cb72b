"""Backbone outputs on disk: computed once, read at the speed of memory."""

from mlgcn_pyg.features.cache import FeatureCache
from mlgcn_pyg.features.extract import extract_features
from mlgcn_pyg.features.loading import broken_images
from mlgcn_pyg.features.verify import describe, repair, verify

__all__ = ["FeatureCache", "broken_images", "describe", "extract_features", "repair", "verify"]
