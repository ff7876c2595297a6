"""Consistency between the tasks, of images that are labelled for one of them."""

from typing import Annotated

from mmbench.baselines.umtl import UMTL

from mmbench.methods import LABELED_CLASSIFICATION, LABELED_SEGMENTATION, Range, register_method, terms

SIDE = 16


@register_method("mtpsl", reference="Li et al. 2022, arXiv:2111.14893")
class MTPSL(UMTL):
    """UMTL; of each image, the label of one task and the prediction of the other are alike in a joint space.

    The publication maps between dense tasks, to feature maps. Here one task is of whole images: masks, at
    16 x 16 pixels, and classes are mapped to a vector as long as the class head's features, which it is kept
    close to.
    """

    family = "multitask"

    class Hyperparameters(UMTL.Hyperparameters):
        """Weights of consistency and of closeness to the features."""

        consistency_weight: Annotated[float, Range(0.02, 20, log=True)] = 2.0
        feature_weight: float = 0.5

    def build(self, problem):
        """Make the network and the two maps into the joint space."""
        from torch import nn

        super().build(problem)
        size = self.network.body.class_head.in_features
        self.maps = nn.ModuleDict(
            {
                "class": nn.Sequential(
                    nn.Linear(problem.num_classes, size), nn.ReLU(), nn.Linear(size, size)
                ),
                "mask": nn.Sequential(
                    nn.AdaptiveAvgPool2d(SIDE),
                    nn.Flatten(),
                    nn.Linear(problem.num_structures * SIDE**2, size),
                    nn.ReLU(),
                    nn.Linear(size, size),
                ),
            }
        )

    def losses(self, batch):
        """Return UMTL's, and the weighted cosine distances (eqs. 2 and 4)."""
        from torch.nn.functional import one_hot

        classes, masks, body = batch[LABELED_CLASSIFICATION], batch[LABELED_SEGMENTATION], self.network.body
        of_classes, of_masks = body.encode(classes.images), body.encode(masks.images)
        logits, mask_logits = body.classify(of_classes), body.decode(of_masks, None)
        known_class = one_hot(classes.labels, body.class_head.out_features).float()
        pairs = [
            (
                of_classes,
                self.maps["class"](known_class),
                self.maps["mask"](body.decode(of_classes, None).sigmoid()),
            ),
            (
                of_masks,
                self.maps["class"](body.classify(of_masks).softmax(1)),
                self.maps["mask"](masks.masks),
            ),
        ]
        between = sum(_distance(one, other) for _, one, other in pairs)
        to_features = sum(
            _distance(vector, features[-1].mean((2, 3))) for features, *vectors in pairs for vector in vectors
        )
        own = self.hyperparameters
        return {
            "cross_entropy": terms.cross_entropy(logits, classes.labels),
            "dice": self.weighted_dice(mask_logits, masks.masks),
            "task_consistency": own.consistency_weight * between,
            "feature_distance": own.feature_weight * to_features,
        }


def _distance(vectors, others):
    """Return the mean of 1 - cos of the angle between vectors, shape (N, D)."""
    from torch.nn.functional import cosine_similarity

    return 1 - cosine_similarity(vectors.float(), others.float()).mean()
