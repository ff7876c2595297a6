"""From attenuation to a displayed image: radiation, scatter, noise, detector and processing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from mmbench.data.phantom.dials import Dials
from mmbench.data.phantom.fields import Draws, Field, grow, shrink

DRAWS = ("window", "level", "gamma", "unsharp", "exposure", "scatter")

_SCATTER_RASTER = 16
_REFERENCE_SIZE = 64


def detect(attenuation: Field, exposed: Field, noise: Field, draws: Draws, dials: Dials) -> Field:
    """Return the logarithm of the detected signal, as an attenuation.

    Parameters
    ----------
    attenuation : array of float32, shape (B, S, S)
        Line integrals of the linear attenuation coefficient (Beer-Lambert).
    exposed : array of float32, shape (B, S, S)
        Share of the beam that the collimator lets through.
    noise : array of float32, shape (B, S, S)
        White standard normal noise.
    draws : Draws
        The images' draws of :data:`DRAWS`.
    dials : Dials
        ``scatter``, ``blur`` and ``noise`` are used.

    Notes
    -----
    Quantum noise has a variance proportional to the signal, so that its share is largest where the body
    is densest. Its relative standard deviation grows with the square root of the image size: between
    white noise (proportional) and noise that the detector's blur has fully correlated (constant).
    """
    size = attenuation.shape[-1]
    primary = np.exp(-attenuation) * exposed
    fraction = np.clip(dials.scatter * np.exp(0.25 * draws.normal("scatter")), 0, 0.95).astype(np.float32)
    signal = primary + fraction * (_veil(primary) - primary)
    if dials.blur * size > 0.2:
        signal = gaussian_filter(signal, dials.blur * size, axes=(1, 2), mode="nearest", truncate=3.0)
    # automatic exposure control: the dose follows the mean signal behind the body
    body = exposed * (attenuation > 0.5)
    mean = _mean(signal * body) / np.maximum(_mean(body), 0.01)
    exposure = np.exp(np.float32(0.45) * draws.normal("exposure"))
    level = np.float32(dials.noise * np.sqrt(size / _REFERENCE_SIZE)) * exposure
    signal = signal + level * np.sqrt(np.maximum(signal, 0) * mean) * noise
    detected: Field = -np.log(np.maximum(signal, mean * np.float32(0.01)))
    return detected


def display(detected: Field, exposed: Field, draws: Draws, dials: Dials) -> NDArray[np.uint8]:
    """Return grey values after unsharp mask, window, display curve and quantisation, shape (B, S, S).

    The window follows quantiles of the image's middle, as the processing of real systems does.
    """
    size = detected.shape[-1]
    spread = np.float32(dials.processing_spread)
    step = max(1, size // 32)
    edge = size // 6
    middle = detected[:, edge : size - edge : step, edge : size - edge : step].reshape(len(detected), -1)
    low, high = np.quantile(middle, (0.04, 0.97), axis=1)[..., None, None].astype(np.float32)
    reach = high - low
    low, high = low - np.float32(0.24) * reach, high + np.float32(0.06) * reach

    strength = dials.unsharp * np.exp(np.float32(0.4) * spread * draws.normal("unsharp"))
    if dials.unsharp > 0:
        smooth = gaussian_filter(detected, 0.035 * size, axes=(1, 2), mode="nearest", truncate=2.5)
        detected = detected + strength * (detected - smooth)

    steepness = np.float32(dials.contrast) * np.exp(np.float32(0.14) * spread * draws.normal("window"))
    shift = np.float32(dials.brightness) + np.float32(0.06) * spread * draws.normal("level")
    grey = ((detected - low) / (high - low) - np.float32(0.5)) * steepness + np.float32(0.5) + shift
    power = np.float32(dials.gamma) * np.exp(np.float32(0.15) * spread * draws.normal("gamma"))
    grey = np.clip(grey, 0, 1)
    grey = np.exp(power * np.log(np.maximum(grey, np.float32(1e-4)))) * exposed
    shown: NDArray[np.uint8] = np.rint(np.float32(255) * grey).astype(np.uint8)
    return shown


def _veil(primary: Field) -> Field:
    """Return the wide blur that scattered radiation lays over the image.

    Being smooth, it is computed on a coarse raster.
    """
    coarse = gaussian_filter(shrink(primary, _SCATTER_RASTER), 2.0, axes=(1, 2), mode="nearest")
    # the coarse squares' centres are the knots, with two more beyond either end
    padded = np.pad(coarse, ((0, 0), (2, 2), (2, 2)), mode="edge")
    return grow(padded, primary.shape[-1], 1.5)


def _mean(field: Field) -> Field:
    mean: Field = field.reshape(len(field), -1).mean(axis=1)[:, None, None]
    return mean
