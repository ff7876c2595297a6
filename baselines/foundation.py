"""A pretrained encoder, and labels alone."""

from typing import Literal

from mmbench.baselines.umtl import UMTL

from mmbench.errors import PluginError
from mmbench.methods import blocks, register_method


@register_method("foundation", reference="Hu et al. 2022, arXiv:2106.09685 (LoRA)")
class Foundation(UMTL):
    """UMTL on a pretrained encoder that is left as it is, gets low-rank additions, or learns as a whole."""

    family = "foundation"

    class Hyperparameters(UMTL.Hyperparameters):
        """What of the encoder learns, and the rank of the additions."""

        adapt: Literal["probe", "lora", "full"] = "probe"
        rank: int = 4

    def build(self, problem):
        """Make the network, and let of its encoder learn what is to learn."""
        own = self.hyperparameters
        if own.adapt == "lora" and problem.backbone.name == "paper_unet":
            raise PluginError("paper_unet takes no low-rank additions; take an smp backbone, or adapt: full")
        super().build(problem)
        if own.adapt == "probe":
            blocks.freeze(self.network.body.encoder)
        elif own.adapt == "lora":
            blocks.lora(self.network.body.encoder, own.rank)
