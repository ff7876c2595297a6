"""Networks: the U-Net of the paper, the saliency bridge, and the adapter for other backbones."""

from mmbench.networks.build import build_network
from mmbench.networks.multitask import Body, MultitaskNetwork

__all__ = ["Body", "MultitaskNetwork", "build_network"]
