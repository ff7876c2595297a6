"""Parts of a dataset: official ones kept, the others drawn once, grouped and stratified."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmbench.data.dataset import PARTS
from mmbench.errors import DataError
from mmbench.protocol.schema import SplitSizes

VALIDATION_SHARE = 0.1


def part_sizes(total: int, sizes: SplitSizes, where: str) -> list[int]:
    """Return how many cases go to train, validation and test.

    Parameters
    ----------
    total : int
        Number of cases.
    sizes : SplitSizes
        Counts that sum to ``total``, or fractions.
    where : str
        The dataset, for messages.

    Raises
    ------
    DataError
        If counts do not sum to ``total``.
    """
    given = [sizes.train, sizes.validation, sizes.test]
    if abs(sum(given) - 1) <= 1e-6:
        return proportional(total, given)
    if sum(given) != total:
        raise DataError(
            f"{where}: split {given[0]:.0f} + {given[1]:.0f} + {given[2]:.0f} does not sum to its {total} "
            f"cases; give fractions, or 'cases: {sum(given):.0f}' too"
        )
    return [int(size) for size in given]


def proportional(total: int, shares: Sequence[float]) -> list[int]:
    """Return whole numbers in the given proportions that sum to ``total`` (largest remainder)."""
    exact = np.asarray(shares, dtype=float) / sum(shares) * total
    counts: np.ndarray = np.floor(exact + 1e-9).astype(int)
    order = np.argsort(-(exact - counts), kind="stable")
    counts[order[: total - counts.sum()]] += 1
    return [int(count) for count in counts]


def stratified_quotas(strata: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """Return how many cases of each stratum go to each part, near to proportional, with exact margins.

    Parameters
    ----------
    strata : ndarray
        Shape (N,): a number from 0 for each case's stratum.
    sizes : sequence of int
        Sizes of the parts, summing to N.

    Returns
    -------
    ndarray
        int, shape (parts, strata).
    """
    totals = np.bincount(strata)
    exact = np.outer(sizes, totals) / max(1, totals.sum())
    quotas: np.ndarray = np.floor(exact + 1e-9).astype(int)
    rows, columns = np.asarray(sizes) - quotas.sum(axis=1), totals - quotas.sum(axis=0)
    order = np.argsort(-(exact - quotas), axis=None, kind="stable")
    # One pass rounds up each cell at most once; another fills what margins it could not reach.
    while rows.sum() > 0:
        for cell in order:
            part, stratum = np.unravel_index(cell, quotas.shape)
            if rows[part] > 0 and columns[stratum] > 0:
                quotas[part, stratum] += 1
                rows[part] -= 1
                columns[stratum] -= 1
    return quotas


def draw_parts(
    groups: np.ndarray, strata: np.ndarray, sizes: Sequence[int], random: np.random.Generator
) -> np.ndarray:
    """Draw a part for each case, whole groups at a time.

    Sizes are met exactly, in each stratum and in all, where every group has one case; larger groups, taken
    first, may shift a part by less than a group.

    Parameters
    ----------
    groups, strata : ndarray
        Shape (N,): numbers of each case's group and stratum.
    sizes : sequence of int
        Sizes of the parts, summing to N.
    random : Generator
        The split's stream.

    Returns
    -------
    ndarray
        int, shape (N,): the index of the part.
    """
    left = stratified_quotas(strata, sizes).astype(float)
    names, group_of = np.unique(groups, return_inverse=True)
    content = np.zeros((len(names), left.shape[1]))
    np.add.at(content, (group_of, strata), 1)
    shuffled = random.permutation(len(names))
    order = shuffled[np.argsort(-content[shuffled].sum(axis=1), kind="stable")]
    tickets = random.random(len(names))
    part_of = np.zeros(len(names), dtype=np.int64)
    for group in order:
        need = content[group]
        used = need > 0
        fits = (left[:, used] >= need[used]).all(axis=1)
        weight = (left * need).sum(axis=1)
        if fits.any():
            chance = np.where(fits, weight, 0.0).cumsum()
            part = int(np.searchsorted(chance, tickets[group] * chance[-1], side="right"))
        else:
            part = int(np.argmax(weight))
        part_of[group] = part
        left[part] -= need
    parts: np.ndarray = part_of[group_of]
    return parts


def assign_parts(
    official: np.ndarray,
    groups: np.ndarray,
    strata: np.ndarray,
    *,
    sizes: SplitSizes | None,
    default: tuple[float, float, float],
    joined_validation: int,
    random: np.random.Generator,
    where: str,
) -> np.ndarray:
    """Return each case's part.

    Without official parts, all three are drawn. With them, the test part is kept; a validation part
    smaller than ``joined_validation`` joins the training part; and where there is a training part but no
    validation part, a tenth of it, or what ``sizes`` says, is drawn for validation.

    Parameters
    ----------
    official : ndarray of str
        Shape (N,): the official part or an empty string, for all cases alike.
    groups, strata : ndarray of int
        Shape (N,).
    sizes : SplitSizes or None
        From the protocol.
    default : tuple of float
        Proportions where ``sizes`` is None.
    joined_validation : int
        See above.
    random : Generator
        The split's stream.
    where : str
        The dataset, for messages.

    Raises
    ------
    DataError
        If only some cases have an official part, or the sizes do not fit.
    """
    names = np.array(PARTS, dtype=object)
    total = len(official)
    if not (official != "").any():
        counts = part_sizes(total, sizes, where) if sizes else proportional(total, default)
        drawn: np.ndarray = names[draw_parts(groups, strata, counts, random)]
        return drawn
    if (official == "").any():
        raise DataError(f"{where}: {(official == '').sum()} of {total} cases have no part while others have")
    parts: np.ndarray = official.astype(object).copy()
    if (parts == "validation").sum() < joined_validation:
        parts[parts == "validation"] = "train"
    pool = np.flatnonzero(parts == "train")
    if len(pool) and not (parts == "validation").any():
        counts = _pool_sizes(len(pool), int((parts == "test").sum()), sizes, where)
        parts[pool] = names[:2][draw_parts(groups[pool], _compact(strata[pool]), counts, random)]
    elif sizes is not None:
        raise DataError(f"{where}: its parts are given, so 'split' cannot change them; remove it")
    return parts


def _pool_sizes(pool: int, test: int, sizes: SplitSizes | None, where: str) -> list[int]:
    if sizes is None:
        return proportional(pool, [1 - VALIDATION_SHARE, VALIDATION_SHARE])
    if abs(sizes.train + sizes.validation + sizes.test - 1) <= 1e-6:
        if sizes.train + sizes.validation == 0:
            raise DataError(f"{where}: split leaves nothing for the train and validation parts")
        return proportional(pool, [sizes.train, sizes.validation])
    if sizes.train + sizes.validation != pool or sizes.test not in (0, test):
        raise DataError(
            f"{where}: the test part of {test} cases is given; split must divide the other {pool} between "
            f"train and validation, not {sizes.train:.0f} + {sizes.validation:.0f} and {sizes.test:.0f}"
        )
    return [int(sizes.train), int(sizes.validation)]


def _compact(strata: np.ndarray) -> np.ndarray:
    numbers: np.ndarray = np.unique(strata, return_inverse=True)[1]
    return numbers
