"""What a plugin's backbone must keep to, checked on made-up images."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from mmbench.networks import build_network
from mmbench.networks.initialisation import build_by_name
from mmbench.networks.multitask import MultitaskNetwork
from mmbench.plugins.extensions import Extension
from mmbench.protocol.schema import Backbone

IMAGES = 3
SIDE = 64


def backbone_faults(found: Extension) -> Iterator[str]:
    """Yield how a backbone breaks its contract: shapes, gradients, the bridge, and its initial weights."""
    for classes, structures, bridge in ((2, 1, "none"), (3, 2, "both")):
        network = _network(found.name, classes, structures, bridge)
        images = torch.rand(IMAGES, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) * 2 - 1
        logits, masks = network.classify(images), network.segment(images)
        what = f"of {classes} classes, {structures} structures and bridge {bridge}"
        if logits.shape != (IMAGES, classes):
            yield f"{what}, classify returns shape {tuple(logits.shape)}, not {(IMAGES, classes)}"
            return
        if masks.shape != (IMAGES, structures, SIDE, SIDE):
            wanted = (IMAGES, structures, SIDE, SIDE)
            yield f"{what}, segment returns shape {tuple(masks.shape)}, not {wanted}"
            return
        (logits.square().sum() + masks.square().sum()).backward()
        idle = [name for name, weight in network.named_parameters() if weight.grad is None]
        if idle:
            yield f"{what}, neither head uses the weight {idle[0]}; leave out what no head needs"
    one, other = (_network(found.name, 2, 1, "none").state_dict() for _ in range(2))
    different = [name for name, value in one.items() if not torch.equal(value, other[name])]
    if different:
        yield f"{different[0]} starts otherwise when it is built again with the same seed; draw with torch"
    alone = _network(found.name, 2, 1, "none", segment=False)
    alone.classify(images)
    for name, value in alone.state_dict().items():
        if name in one and not torch.equal(value, one[name]):
            yield f"{name} starts otherwise where only the classifier is built; name layers alike in both"
            break


def _network(
    name: str, classes: int, structures: int, bridge: str, *, segment: bool = True
) -> MultitaskNetwork:
    def build() -> MultitaskNetwork:
        return build_network(
            Backbone(name=name),
            classify=True,
            segment=segment,
            image_size=SIDE,
            num_classes=classes,
            num_structures=structures,
            bridge=bridge if segment else "none",  # type: ignore[arg-type]
        )

    return build_by_name(build, lambda network: {"network": network}, 0)
