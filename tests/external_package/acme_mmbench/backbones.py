"""A backbone: a small fully convolutional network."""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from mmbench.networks import Body
from mmbench.plugins import register_backbone


@register_backbone("small_fcn")
class SmallFCN(Body):
    """Four convolutions and two heads."""

    def __init__(self, backbone, classify, segment, num_classes, num_structures, bridge_channels, image_size):
        super().__init__()
        sides = [1, 8, 16]
        self.stages = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride=2, padding=1) for before, after in pairwise(sides)
        )
        if classify:
            self.class_head = nn.Linear(sides[-1], num_classes)
        if segment:
            self.mask_head = nn.Conv2d(sides[-1] + bridge_channels, num_structures, 1)

    def encode(self, images):
        """Return the features of both stages, finest first."""
        features = []
        for stage in self.stages:
            images = functional.relu(stage(images))
            features.append(images)
        return features

    def classify(self, features):
        """Return class logits."""
        return self.class_head(features[-1].mean((2, 3)))

    def decode(self, features, bridge):
        """Return mask logits."""
        deepest = features[-1]
        if bridge is not None:
            deepest = torch.cat([deepest, functional.interpolate(bridge, deepest.shape[-2:])], 1)
        return functional.interpolate(self.mask_head(deepest), scale_factor=4, mode="bilinear")
