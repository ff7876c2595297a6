"""The dials of the phantom: everything that makes one domain differ from another, with bounds and units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationError

from mmbench.errors import DataError, suggestion
from mmbench.protocol.schema import Scalar, Strict


class Dials(Strict):
    """Causes of domain shift.

    No dial enters a random seed: a dial only maps the same draws to other values, so two settings of
    one dial show the same patients, case by case.
    """

    population: int = Field(default=0, ge=0, lt=2**31)
    """Which patients: another number is another, independent set."""
    age: float = Field(default=45.0, ge=0.5, le=90.0)
    """Median age in years; below about 16 the thorax is rounder and the heart and thymus larger."""
    variety: float = Field(default=1.0, ge=0.0, le=1.5)
    """Spread of body habitus and organ shape; 0 gives every patient the same anatomy."""
    repeats: float = Field(default=0.1, ge=0.0, le=1.0)
    """Share of patients with more than one image (two or three)."""
    prevalence: float = Field(default=0.5, ge=0.0, le=1.0)
    """Share of patients with pneumonia."""
    severity: float = Field(default=0.55, ge=0.0, le=1.0)
    """Mean grade of pneumonia: extent and density of the opacities."""
    severity_spread: float = Field(default=0.2, ge=0.0, le=0.5)
    """Standard deviation of the grade."""
    interstitial: float = Field(default=0.35, ge=0.0, le=1.0)
    """Share of pneumonias that are diffuse and interstitial instead of lobar."""
    mimics: float = Field(default=0.25, ge=0.0, le=1.0)
    """Share of patients, sick or not, with each of four harmless findings that resemble opacities."""
    label_noise: float = Field(default=0.0, ge=0.0, le=0.5)
    """Chance that a given label is the wrong one."""
    ap_share: float = Field(default=0.0, ge=0.0, le=1.0)
    """Share of anteroposterior projections: larger heart, poorer inspiration, scapulae over the lungs."""
    positioning: float = Field(default=1.0, ge=0.0, le=3.0)
    """Spread of shift, size and aspect of the patient in the image; 1 is a careful department."""
    rotation: float = Field(default=2.0, ge=0.0, le=30.0)
    """Standard deviation of the rotation in the image plane, in degrees."""
    magnification: float = Field(default=1.0, ge=0.6, le=1.6)
    """Mean size of the patient in the image."""
    collimation: float = Field(default=0.2, ge=0.0, le=1.0)
    """How far black collimated bands reach into the image; 0 is none."""
    contrast: float = Field(default=1.0, ge=0.2, le=3.0)
    """Steepness of the display window."""
    brightness: float = Field(default=0.0, ge=-0.5, le=0.5)
    """Shift of the display window, in units of the grey range; above 0 is brighter."""
    gamma: float = Field(default=1.0, ge=0.3, le=3.0)
    """Exponent of the display curve; above 1 is darker."""
    unsharp: float = Field(default=0.3, ge=0.0, le=3.0)
    """Strength of the unsharp mask."""
    processing_spread: float = Field(default=0.5, ge=0.0, le=3.0)
    """Spread of window, gamma and unsharp mask between images."""
    noise: float = Field(default=0.02, ge=0.0, le=0.5)
    """Relative quantum noise where the detector gets its mean exposure, at 64 pixels."""
    scatter: float = Field(default=0.25, ge=0.0, le=0.9)
    """Fraction of the detected radiation that is scattered."""
    blur: float = Field(default=0.004, ge=0.0, le=0.05)
    """Standard deviation of the detector's blur, as a fraction of the image's side."""
    devices: float = Field(default=0.0, ge=0.0, le=1.0)
    """Share of images with leads, electrodes, tubes or pacemakers, whatever the label."""
    side_markers: float = Field(default=0.6, ge=0.0, le=1.0)
    """Share of images with a side letter."""
    marker_rate: float = Field(default=0.3, ge=0.0, le=1.0)
    """Share of images with the ward's text marker, as far as it does not follow the label."""
    marker_shortcut: float = Field(default=0.0, ge=0.0, le=1.0)
    """Chance that the ward's marker follows the true label; 0 is independent, 1 gives the label away."""


def resolve_dials(domain: str, defaults: Dials, dials: Mapping[str, Scalar]) -> Dials:
    """Return a domain's dials with some of them changed.

    Parameters
    ----------
    domain : str
        The domain's name, for messages.
    defaults : Dials
        The domain's own settings.
    dials : mapping of str to scalar
        The dials that differ.

    Raises
    ------
    DataError
        If a dial is unknown, or its value has the wrong type or lies out of bounds.
    """
    for name in dials:
        if name not in Dials.model_fields:
            hint = suggestion(str(name), Dials.model_fields)
            raise DataError(f"phantom:{domain}: unknown dial {name!r}; {hint}")
    for name, value in dials.items():
        if isinstance(value, (bool, str)):
            raise DataError(f"phantom:{domain}: dial {name!r} must be a number, not {value!r}")
    try:
        return Dials.model_validate({**defaults.model_dump(), **dials})
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        reason = first["msg"].replace("Input should be", "must be")
        raise DataError(f"phantom:{domain}: dial {name!r} {reason}, not {dials.get(name)!r}") from None


def describe_dials(dials: Dials) -> list[dict[str, Any]]:
    """Return each dial as ``name``, ``value``, ``minimum``, ``maximum``, ``description``."""
    properties = Dials.model_json_schema()["properties"]
    return [
        {
            "name": name,
            "value": getattr(dials, name),
            "minimum": field["minimum"],
            "maximum": field.get("maximum", field.get("exclusiveMaximum")),
            "description": field["description"],
        }
        for name, field in properties.items()
    ]
