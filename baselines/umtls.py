"""The plain multitask baseline with the saliency bridge."""

from mmbench.baselines.umtl import UMTL

from mmbench.methods import BridgeHyperparameters, register_method


@register_method("umtls", reference="Haque et al. 2021")
class UMTLS(UMTL):
    """Both tasks from labels alone, with the saliency bridge."""

    class Hyperparameters(UMTL.Hyperparameters, BridgeHyperparameters):
        """UMTL's, and what the bridge carries."""
