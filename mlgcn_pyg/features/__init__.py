"""Feature files: the outputs of a backbone, computed once and then mapped into memory."""

from mlgcn_pyg.features.cache import FeatureCache
from mlgcn_pyg.features.description import describe_cache
from mlgcn_pyg.features.extract import extract_features
from mlgcn_pyg.features.loading import broken_images
from mlgcn_pyg.features.verification import repair, verify

__all__ = ["FeatureCache", "broken_images", "describe_cache", "extract_features", "repair", "verify"]
