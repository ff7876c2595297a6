"""Method plugins: registering, finding and describing them."""

from mmbench.plugins.registry import register_method

__all__ = ["register_method"]
