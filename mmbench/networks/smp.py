"""Any segmentation-models-pytorch decoder over any timm encoder, bridge and class head included."""

from __future__ import annotations

import hashlib
import warnings
from typing import Any

import segmentation_models_pytorch as smp
import timm
import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional

from mmbench.errors import ProtocolError, suggestion
from mmbench.files import digest_file
from mmbench.networks.multitask import Body
from mmbench.protocol.schema import Backbone

# These decoders read the deepest features only (or deepest and finest), so the bridge joins there.
_READ_DEEPEST = ("deeplabv3", "deeplabv3plus", "pspnet")


MISSING = 0.05
"""Share of an encoder's weights that a file may lack: counters of batches are not always saved."""


class SMPNetwork(Body):
    """An encoder with a linear class head and a segmentation-models-pytorch decoder.

    The bridge is brought to the size of the features that the first decoder stage joins, and mixed into
    them by a 1x1 convolution that starts as the identity on the features, so that it fits every decoder.

    Parameters
    ----------
    backbone : Backbone
        ``smp:<decoder>/<encoder>``; the encoder is a timm name, or segmentation-models-pytorch's
        own ``mit_b0`` … ``mit_b5``.
    classify, segment : bool
        Which heads to build.
    num_classes, num_structures : int
        Number of classes, and of structures, which get a mask each.
    bridge_channels : int
        Channels of the bridge, 0 for none.
    image_size : int
        Side of the images; transformers with a fixed input size are built for it.

    Raises
    ------
    ProtocolError
        If a name is unknown, the two do not fit together, or weights cannot be had.
    """

    def __init__(
        self,
        backbone: Backbone,
        classify: bool,
        segment: bool,
        num_classes: int,
        num_structures: int,
        bridge_channels: int,
        image_size: int,
    ):
        super().__init__()
        decoder, encoder = backbone.name.removeprefix("smp:").split("/", 1)
        model = _make(decoder, encoder, backbone, image_size, num_structures)
        self.encoder = model.encoder
        self.weights_digest = _started_from(backbone, model.encoder)
        channels = self.encoder.out_channels
        if classify:
            self.class_head = nn.Linear(channels[-1], num_classes)
        if segment:
            self.decoder = model.decoder
            self.mask_head = model.segmentation_head
            self.bridge_stage = -1 if decoder in _READ_DEEPEST else -2
            if bridge_channels:
                self.bridge_mix = _identity_mix(channels[self.bridge_stage], bridge_channels)

    def encode(self, images: Tensor) -> list[Tensor]:
        """Return the encoder's features, finest first."""
        return list(self.encoder(images))

    def classify(self, features: list[Tensor]) -> Tensor:
        """Return class logits from the globally averaged deepest features."""
        return self.class_head(features[-1].mean((2, 3)))

    def decode(self, features: list[Tensor], bridge: Tensor | None) -> Tensor:
        """Return mask logits."""
        if bridge is not None:
            features = list(features)
            joined = features[self.bridge_stage]
            small = functional.interpolate(bridge, joined.shape[-2:], mode="bilinear", align_corners=True)
            features[self.bridge_stage] = self.bridge_mix(torch.cat([joined, small.to(joined.dtype)], 1))
        return self.mask_head(self.decoder(features))

    def encoder_stages(self) -> list[nn.Module]:
        """Return what timm takes the encoder's feature maps from."""
        model: Any = getattr(self.encoder, "model", None)
        if not hasattr(model, "feature_info"):
            return super().encoder_stages()
        # Where features are taken out, timm flattens the names of some networks' stages.
        parts = dict(model.named_modules())
        names = model.feature_info.module_name()
        return [parts[name] if name in parts else parts[name.replace(".", "_")] for name in names]

    def decoder_stages(self) -> list[nn.Module]:
        """Return the decoder's blocks, of those decoders that have a list of them."""
        blocks = getattr(self.decoder, "blocks", None)
        return list(blocks) if blocks is not None else super().decoder_stages()


def _identity_mix(channels: int, extra: int) -> nn.Conv2d:
    mix = nn.Conv2d(channels + extra, channels, 1)
    with torch.no_grad():
        mix.weight[:, :channels] = torch.eye(channels)[:, :, None, None]
        nn.init.zeros_(mix.bias)  # type: ignore[arg-type]  # it has a bias
    return mix


def _make(decoder: str, encoder: str, backbone: Backbone, image_size: int, num_structures: int) -> Any:
    # DPT's decoder also wants the transformer's class tokens, which the other encoders do not have.
    architectures = [name for name in smp.MODEL_ARCHITECTURES_MAPPING if name != "dpt"]
    if decoder not in architectures:
        raise ProtocolError(f"unknown decoder {decoder!r}; {suggestion(decoder, architectures)}")
    own = encoder.startswith("mit_")
    known = [f"mit_b{size}" for size in range(6)] if own else timm.list_models()
    if encoder.split(".")[0] not in known:
        raise ProtocolError(f"unknown encoder {encoder!r}; {suggestion(encoder, known)}")
    options: dict[str, Any] = {"in_channels": 1, "classes": num_structures}
    if not own and _fixed_input(encoder):
        options["img_size"] = image_size
    name = encoder if own else f"tu-{encoder}"
    weights = ("imagenet" if own else True) if backbone.pretrained else None
    if backbone.file is not None:
        if own:
            raise ProtocolError(f"{encoder!r} takes no file of weights; take a timm encoder")
        if not backbone.file.is_file():
            raise ProtocolError(f"{backbone.file}: no such file of weights", at=("pretrained",))
        options["pretrained_cfg_overlay"] = {"file": str(backbone.file)}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = smp.create_model(decoder, name, encoder_weights=weights, **options)
    except Exception as error:
        cause = " ".join(str(error).split())[:200]
        if backbone.file is not None:
            raise ProtocolError(f"{backbone.file}: are not weights of timm's {encoder!r}: {cause}") from error
        if backbone.pretrained:
            raise ProtocolError(
                f"the ImageNet weights of {encoder!r} are not here and cannot be downloaded; where "
                f"there is internet run python -c \"import timm; timm.create_model('{encoder}', "
                'pretrained=True)", copy its Hugging Face cache (~/.cache/huggingface, or $HF_HOME) here, '
                f"or set pretrained: false ({type(error).__name__})"
            ) from error
        raise ProtocolError(f"{decoder!r} and {encoder!r} do not fit together: {cause}") from error
    return model


def _started_from(backbone: Backbone, encoder: nn.Module) -> str:
    """Return the sha256 of the weights that an encoder starts from; empty where they are drawn at random.

    Raises
    ------
    ProtocolError
        If they are not those that the protocol means.
    """
    if not backbone.pretrained:
        return ""
    if backbone.file is not None:
        _check_loaded(backbone, encoder)
    found = digest_file(backbone.file) if backbone.file is not None else _digest(encoder)
    if backbone.digest not in ("", found):
        where = backbone.file or f"the ImageNet weights of {backbone.name} that are installed here"
        raise ProtocolError(
            f"{where}: the sha256 is {found}, not {backbone.digest}; take the right weights, or remove the "
            "digest",
            at=("digest",),
        )
    return found


def _digest(encoder: nn.Module) -> str:
    """Return the sha256 of an encoder's weights and their names."""
    found = hashlib.sha256()
    for name, value in encoder.state_dict().items():
        # Of a first layer for one channel, timm has added three up, and the last bit is the machine's.
        if value.ndim < 4 or value.shape[1] > 1:
            found.update(name.encode())
            found.update(value.contiguous().numpy().tobytes())
    return found.hexdigest()


def _check_loaded(backbone: Backbone, encoder: nn.Module) -> None:
    """Refuse a file that has not the encoder's weights, by timm's names for them."""
    assert backbone.file is not None
    # Where features are taken out, timm flattens the names of stages.
    own = {name.removeprefix("model.").replace(".", "_") for name in encoder.state_dict()}
    with safe_open(backbone.file, framework="pt") as content:
        missing = sorted(own - {name.replace(".", "_") for name in content.keys()})  # noqa: SIM118
    if len(missing) > MISSING * len(own):
        raise ProtocolError(
            f"{backbone.file}: lacks {len(missing)} of the {len(own)} weights of {backbone.name}, such as "
            f"{missing[0]}; it must have timm's names for them",
            at=("pretrained",),
        )


def _fixed_input(encoder: str) -> bool:
    configuration = timm.models.get_pretrained_cfg(encoder)
    return bool(configuration and configuration.fixed_input_size)
