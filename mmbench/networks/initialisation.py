"""Initial weights that depend on a layer's name, not on the order in which layers are built.

Two methods of one seed then start from the same weights in every layer that both have, whatever other
layers they have: common random numbers, so that less of the difference between their scores is chance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from mmbench.randomness import derive_seed

FIRST = "network"
"""What the first network's layers are called after, so that its attribute's name makes no difference."""
Built = TypeVar("Built")
Key = tuple[str | int, ...]


def build_by_name(
    build: Callable[[], Built], modules: Callable[[Built], Mapping[str, nn.Module]], seed: int
) -> Built:
    """Build networks whose random initial weights depend on names, shapes and the seed alone.

    Networks are built twice: the first time shows which parameter or buffer each random operation fills,
    the second time each operation is seeded by that name. So any initialisation scheme of any library
    keeps its distribution. A random tensor that is copied or computed with before it becomes a parameter
    (orthogonal matrices, scaled position embeddings) has no name; it is seeded by its shape and by how
    many of that shape came before it.

    Parameters
    ----------
    build : callable
        Builds from nothing and returns what holds the networks; called twice if it draws random numbers.
    modules : callable
        Returns the networks of what was built, by name. The first one's layers are known by their
        names within it, those of every further one by its name too, so that two networks differ.
    seed : int
        Of this run; layers of one name and shape are equal where it is.

    Returns
    -------
    Built
        The second one.
    """
    torch.manual_seed(seed)
    with _Draws() as draws:
        built = build()
    if not draws.tensors:
        return built
    keys = _keys(draws.tensors, modules(built))
    torch.manual_seed(seed)
    with _KeyedDraws(seed, keys):
        return build()


def _keys(tensors: list[Tensor], modules: Mapping[str, nn.Module]) -> list[Key]:
    """Return what seeds each random operation, in their order: what it fills, its shape, how often before."""
    names: dict[int, tuple[str, Tensor]] = {}
    for place, (attribute, module) in enumerate(modules.items()):
        root = attribute if place else FIRST
        for name, tensor in [*module.named_parameters(prefix=root), *module.named_buffers(prefix=root)]:
            names.setdefault(_place(tensor), (name, tensor))
    found: list[Key] = []
    counts: dict[Key, int] = {}
    for tensor in tensors:
        name, whole = names.get(_place(tensor), ("", tensor))
        key: Key = (name, *whole.shape)
        counts[key] = counts.get(key, 0) + 1
        found.append((*key, counts[key]))
    return found


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata  # noqa: SLF001  torch has no public name


class _Draws(TorchDispatchMode):
    """Notes what each random operation returns; holding it keeps its memory from being used again."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch does not annotate it
        self.tensors: list[Tensor] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if _is_random(func, kwargs):
            self.tensors.append(result)
        return result


class _KeyedDraws(TorchDispatchMode):
    """Seeds each random operation by its key."""

    def __init__(self, seed: int, keys: list[Key]):
        super().__init__()  # type: ignore[no-untyped-call]  # torch does not annotate it
        self.seed = seed
        self.keys = iter(keys)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # A build that draws more the second time goes on with the numbers of its last layer.
        if _is_random(func, kwargs) and (key := next(self.keys, None)) is not None:
            torch.manual_seed(derive_seed(self.seed, "initial weights", *key))
        return func(*args, **(kwargs or {}))


def _is_random(func: Any, kwargs: Mapping[str, Any] | None) -> bool:
    """Whether an operation draws from the global generator."""
    return torch.Tag.nondeterministic_seeded in func.tags and (kwargs or {}).get("generator") is None
