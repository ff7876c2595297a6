"""The multitask baseline with pseudo-labels and the saliency bridge (ISBI 2021 supplement)."""

from mmbench.baselines.umtl_ssl import UMTLSSL

from mmbench.methods import BridgeHyperparameters, register_method


@register_method("umtl_ssl_s", reference="Haque et al. 2021, supplement")
class UMTLSSLS(UMTLSSL):
    """Both tasks with pseudo-labels and the saliency bridge: MultiMix without the segmentation KL."""

    class Hyperparameters(UMTLSSL.Hyperparameters, BridgeHyperparameters):
        """UMTL-SSL's, and what the bridge carries."""
