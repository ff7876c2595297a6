"""The mean of the weights in the valley of the validation loss."""

from mmbench.baselines.umtl import UMTL

from mmbench.methods import register_method


@register_method("swad", reference="Cha et al. 2021, arXiv:2102.08604")
class SWAD(UMTL):
    """UMTL evaluated with the mean of the weights of the steps whose validation loss is low."""

    family = "domain-generalization"
    training = {"swad": {"converge": 3, "tolerance": 6, "ratio": 0.3}}
