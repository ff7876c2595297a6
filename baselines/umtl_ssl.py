"""The multitask baseline with pseudo-labels (named in the ISBI 2021 supplement)."""

from mmbench.baselines.encssl import EncSSL
from mmbench.baselines.unet import UNet

from mmbench.methods import register_method


@register_method("umtl_ssl", reference="Haque et al. 2021, supplement")
class UMTLSSL(EncSSL, UNet):
    """Both tasks on one encoder, with pseudo-labels for classification."""

    tasks = EncSSL.tasks | UNet.tasks
    streams = EncSSL.streams | UNet.streams

    class Hyperparameters(EncSSL.Hyperparameters, UNet.Hyperparameters):
        """EncSSL's and U-Net's."""

    def losses(self, batch):
        """Return L_c of eq. 1 + alpha * Dice(labelled)."""
        return {**EncSSL.losses(self, batch), **UNet.losses(self, batch)}
