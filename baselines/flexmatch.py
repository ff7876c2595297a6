"""A threshold for each class, by how much of it has been learned."""

from mmbench.baselines.fixmatch import FixMatch

from mmbench.methods import UNLABELED_CLASSIFICATION, register_method


@register_method("flexmatch", reference="Zhang et al. 2021, arXiv:2110.08263")
class FlexMatch(FixMatch):
    """FixMatch whose thresholds are lower for classes that few images are surely of."""

    learned = None

    def build(self, problem):
        """Make the network."""
        super().build(problem)
        self.num_classes = problem.num_classes

    def start(self, labeled):
        """Begin with no image learned: none has a class."""
        import torch

        count = labeled.pool_sizes[UNLABELED_CLASSIFICATION]
        self.learned = torch.full((count,), -1, device=labeled.labels.device)

    def thresholds(self):
        """Return each class's threshold (eqs. 5 to 7, 11): images that have no class count as one more."""
        counts = (self.learned + 1).bincount(minlength=self.num_classes + 1)
        status = counts[1:] / counts.max()
        return self.hyperparameters.confidence * status / (2 - status)

    def pseudo_labels(self, weak, strong, rows):
        """Return FixMatch's, with the thresholds of the classes."""
        surest, label = weak.max(1)
        learned = label.where(surest >= self.hyperparameters.confidence, -1)
        self.observe(rows=rows, learned=learned)
        return {"pseudo_label": self.weighted(weak, strong, surest >= self.thresholds()[label])}

    def after_step(self, step):
        """Note which images are surely of which class."""
        rows, learned = self.observed("rows"), self.observed("learned")
        self.learned[rows[learned >= 0]] = learned[learned >= 0]

    def state(self):
        """Return each image's class."""
        return {} if self.learned is None else {"learned": self.learned}

    def load_state(self, state):
        """Restore them."""
        self.learned = state.get("learned")
