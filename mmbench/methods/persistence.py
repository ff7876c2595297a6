"""A trained method as files, and back: weights and declared state, nothing pickled.

Each module is a safetensors file of its own, ``<attribute>.safetensors``, in the layout of
``safetensors.torch.save_model``: tensors that share memory are stored once, the other names in the file's
metadata. The declared state is ``state.safetensors``: its tensors, and its structure as JSON in the
metadata. Files carry no checksum of their own; :func:`weights_digest` tells whether content is unchanged.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mmbench.errors import PluginError
from mmbench.files import DamagedFileError, canonical_json, digest_bytes, digest_json
from mmbench.methods.base import Method
from mmbench.networks.inputs import to_device

STATE = "state"
"""Name of the state's file, and of its structure in the file's metadata."""


def save_method(method: Method, folder: Path) -> None:
    """Write what a method's predictions depend on.

    A method without modules and state, and an empty state, leave no file.

    Parameters
    ----------
    method : Method
        Built, and usually trained.
    folder : Path
        Made if it is absent; files of the same names are replaced.

    Raises
    ------
    PluginError
        If a module or the state holds what cannot be written; names the method and the key.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, module in method.modules().items():
        kept, aliases = _distinct(_tensors(method, name, module))
        _write(method, folder / f"{name}.safetensors", kept, aliases)
    state = method.state()
    if state:
        tensors: dict[str, Tensor] = {}
        structure = _encode(method, state, "", tensors)
        _write(method, folder / f"{STATE}.safetensors", tensors, {STATE: canonical_json(structure)})


def load_method(method: Method, folder: Path, device: torch.device) -> None:
    """Give a built method the weights and the state that :func:`save_method` wrote.

    Parameters
    ----------
    method : Method
        Built for the same problem with the same hyper-parameters; not started.
    folder : Path
        Where the files are.
    device : torch.device
        Where modules and state go.

    Raises
    ------
    DamagedFileError
        If a file is absent, unreadable, or not of this method; one line that names the file.
    """
    for name, module in method.modules().items():
        path = folder / f"{name}.safetensors"
        tensors, aliases = _read(path)
        for alias, kept in aliases.items():
            if kept in tensors:
                tensors[alias] = tensors[kept]
        misfit = _misfit(module, tensors)
        if misfit:
            raise DamagedFileError(f"{path}: does not fit the method {_name(method)}: {misfit}")
        to_device(module, device)
    path = folder / f"{STATE}.safetensors"
    if not path.exists():
        return
    tensors, metadata = _read(path)
    try:
        state = _decode(
            json.loads(metadata[STATE]), {key: value.to(device) for key, value in tensors.items()}
        )
    except (KeyError, ValueError, TypeError) as error:
        raise DamagedFileError(f"{path}: does not hold the state of a method") from error
    try:
        method.load_state(state)
    except Exception as error:  # a foreign state fails in the method's own code, with any error
        cause = f"load_state raises {type(error).__name__}: {_one_line(error)}"
        raise DamagedFileError(f"{path}: does not fit the method {_name(method)}: {cause}") from error


def method_bytes(method: Method) -> int:
    """Return how many bytes of tensors :func:`save_method` would write.

    Parameters and buffers of every module, shared ones once per module, and the state's tensors; the
    files' headers (some kilobytes) come on top.
    """
    tensors: dict[str, Tensor] = {}
    _encode(method, method.state(), "", tensors)
    written = list(tensors.values())
    for name, module in method.modules().items():
        written += _distinct(_tensors(method, name, module))[0].values()
    return sum(tensor.numel() * tensor.element_size() for tensor in written)


def weights_digest(method: Method) -> str:
    """Return a digest of a method's weights, buffers and state.

    It covers names, types, shapes and bits, whatever the device and the memory layout, and is the same
    after :func:`load_method`.

    Returns
    -------
    str
        A sha256 in hexadecimal.
    """
    state: dict[str, Tensor] = {}
    structure = _encode(method, method.state(), "", state)
    return digest_json(
        {
            "modules": _module_fingerprints(method),
            "state": _fingerprints(state),
            "structure": structure,
        }
    )


def module_digests(method: Method) -> dict[str, str]:
    """Return a digest of the weights and buffers of each of a method's modules, by attribute name.

    It covers what :func:`weights_digest` covers.
    """
    return {name: digest_json(found) for name, found in _module_fingerprints(method).items()}


def _module_fingerprints(method: Method) -> dict[str, Any]:
    return {name: _fingerprints(_tensors(method, name, module)) for name, module in method.modules().items()}


def _name(method: Method) -> str:
    return method.name or type(method).__name__


def _tensors(method: Method, name: str, module: nn.Module) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for key, value in module.state_dict().items():
        if not isinstance(value, Tensor) or value.layout is not torch.strided:
            raise PluginError(
                f"method {_name(method)!r}: {name}.{key} cannot be saved: its state_dict must hold dense "
                f"tensors only, not {_kind(value)}"
            )
        # Several indices of an expanded tensor are one place in memory, which nothing can be loaded into.
        if any(step == 0 and size > 1 for size, step in zip(value.shape, value.stride(), strict=True)):
            raise PluginError(
                f"method {_name(method)!r}: {name}.{key} cannot be saved: it is an expanded tensor; "
                "register a copy of it, x.expand(...).clone()"
            )
        found[key] = value.detach()
    return found


def _distinct(tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return tensors without the repeated ones, and which kept one each of those repeats."""
    kept: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    names: dict[tuple[Any, ...], str] = {}
    for key in sorted(tensors):
        value = tensors[key]
        # The storage's identity, not its address: on the device "meta" every address is 0.
        storage = value.untyped_storage()._cdata  # noqa: SLF001  torch has no public name
        place = (storage, value.storage_offset(), value.dtype, value.shape, value.stride())
        first = names.setdefault(place, key) if value.numel() else key
        if first == key:
            kept[key] = value
        else:
            aliases[key] = first
    return kept, aliases


def _write(method: Method, path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    # Copies, because tensors that are different views of the same memory cannot be written as they are.
    copies = {
        key: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for key, value in tensors.items()
    }
    try:
        save_file(copies, str(path), metadata={"format": "pt", **metadata})
    except (SafetensorError, ValueError, KeyError, AttributeError) as error:
        cause = _one_line(error)
        raise PluginError(f"method {_name(method)!r}: {path.stem} cannot be saved: {cause}") from error


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(str(path), framework="pt", device="cpu") as content:
            tensors = {key: content.get_tensor(key).clone() for key in content.keys()}  # noqa: SIM118
            metadata = dict(content.metadata() or {})
    except FileNotFoundError as error:
        raise DamagedFileError(f"{path}: is absent") from error
    except (SafetensorError, OSError, UnicodeDecodeError) as error:
        raise DamagedFileError(f"{path}: cannot be read: {_one_line(error)}") from error
    metadata.pop("format", None)
    return tensors, metadata


def _misfit(module: nn.Module, tensors: dict[str, Tensor]) -> str:
    """Load tensors into a module; return why they do not fit, or nothing."""
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        # PyTorch lists each misfit on a line of its own, below a headline.
        return _one_line(str(error).split("\n", 1)[-1])
    # load_state_dict converts other types without a word.
    for key, value in module.state_dict().items():
        if value.dtype is not tensors[key].dtype:
            return f"{key} is {tensors[key].dtype} in the file, not {value.dtype}"
    return ""


def _one_line(text: object) -> str:
    return " ".join(str(text).split())[:200]


def _encode(method: Method, value: Any, at: str, tensors: dict[str, Tensor]) -> Any:
    """Return a state's structure for JSON, and put its tensors into ``tensors``.

    Text, whole numbers, booleans and None stand for themselves, everything else is an object with one
    key that says what it is. Dictionaries are lists of pairs, which keeps their order and keys that are
    numbers.
    """
    if value is None or isinstance(value, (bool, str, int)):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"float": repr(float(value))}
    if isinstance(value, Tensor) and value.layout is torch.strided:
        tensors[at] = value.detach()
        return {"tensor": at}
    if type(value) in (list, tuple):
        items = [_encode(method, item, f"{at}[{place}]", tensors) for place, item in enumerate(value)]
        return {type(value).__name__: items}
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, (str, int)):
                raise PluginError(
                    f"method {_name(method)!r}: state(){at} has a key of type {_kind(key)}; "
                    "use text or whole numbers"
                )
        pairs = [[key, _encode(method, item, f"{at}[{key!r}]", tensors)] for key, item in value.items()]
        return {"dict": pairs}
    raise PluginError(
        f"method {_name(method)!r}: state(){at} is of type {_kind(value)}, which cannot be saved; use "
        "tensors, numbers, text, and lists or dicts of them"
    )


def _decode(structure: Any, tensors: dict[str, Tensor]) -> Any:
    if not isinstance(structure, dict):
        return structure
    ((kind, content),) = structure.items()
    if kind == "float":
        return float(content)
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: _decode(item, tensors) for key, item in content}
    items = [_decode(item, tensors) for item in content]
    return tuple(items) if kind == "tuple" else items


def _kind(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of layout {value.layout}"
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")


def _fingerprints(tensors: dict[str, Tensor]) -> dict[str, list[Any]]:
    return {key: _fingerprint(value) for key, value in tensors.items()}


def _fingerprint(tensor: Tensor) -> list[Any]:
    """Return a tensor's type, shape, and a digest of its elements' bits in the order of its indices."""
    bits = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return [str(tensor.dtype), list(tensor.shape), digest_bytes(bits.numpy().tobytes())]
