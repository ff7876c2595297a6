"""Plugins: registering, finding and describing methods, metrics, datasets and backbones."""

from mmbench.plugins.extensions import register_backbone, register_dataset, register_metric
from mmbench.plugins.registry import register_method

__all__ = ["register_backbone", "register_dataset", "register_method", "register_metric"]
