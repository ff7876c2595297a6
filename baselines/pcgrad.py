"""Gradient surgery between the two tasks."""

from mmbench.baselines.umtl import UMTL

from mmbench.methods import register_method


@register_method("pcgrad", reference="Yu et al. 2020, arXiv:2001.06782")
class PCGrad(UMTL):
    """UMTL whose tasks' gradients lose what conflicts with the other task's."""

    family = "multitask"

    def combine(self, gradients):
        """Return the sum of each term's gradient, projected in random order where it conflicts (alg. 1)."""
        import torch

        names, projected = list(gradients), []
        for name in names:
            own = gradients[name].clone()
            for place in torch.randperm(len(names)).tolist():
                other = gradients[names[place]]
                if names[place] != name and (conflict := own @ other) < 0:
                    own -= conflict / (other @ other) * other
            projected.append(own)
        return torch.stack(projected).sum(0)
