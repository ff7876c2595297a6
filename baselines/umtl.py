"""The publication's plain multitask baseline."""

from mmbench.baselines.enc import Enc
from mmbench.baselines.unet import UNet

from mmbench.methods import register_method


@register_method("umtl", reference="Haque et al. 2021")
class UMTL(Enc, UNet):
    """Both tasks on one encoder, from labels alone."""

    tasks = Enc.tasks | UNet.tasks
    streams = Enc.streams | UNet.streams

    def losses(self, batch):
        """Return CE(labelled) + alpha * Dice(labelled)."""
        return {**Enc.losses(self, batch), **UNet.losses(self, batch)}
