"""The four domains of the phantom, which play the four data sets of the publication."""

from __future__ import annotations

from pydantic import Field

from mmbench.data.phantom.dials import Dials
from mmbench.errors import DataError, suggestion
from mmbench.protocol.schema import SplitSizes, Strict
from mmbench.protocol.vocabulary import Task


class DomainSettings(Strict):
    """A domain: how its images are made, what it offers and how large it is."""

    name: str
    title: str
    """One line for listings."""
    description: str
    plays: str
    """The real data set whose role it plays."""
    tasks: tuple[Task, ...]
    """What it offers to users; labels and masks are both known internally."""
    cases: int = Field(ge=1)
    """Number of images when none is asked for."""
    parts: SplitSizes
    """Default sizes of its parts."""
    dials: Dials


_CLASSES = (Task.CLASSIFICATION,)
_MASKS = (Task.SEGMENTATION,)

DOMAINS: dict[str, DomainSettings] = {
    settings.name: settings
    for settings in (
        DomainSettings(
            name="paediatric_ap",
            title="Children, anteroposterior, labels of pneumonia",
            description="One to six years old, supine or held upright, one department and one processing; "
            "the ward's marker follows the label to some degree.",
            plays="kermany",
            tasks=_CLASSES,
            cases=1600,
            parts=SplitSizes(train=1000, validation=200, test=400),
            dials=Dials(
                age=3.0,
                ap_share=1.0,
                repeats=0.25,
                prevalence=0.5,
                severity=0.55,
                severity_spread=0.15,
                interstitial=0.4,
                rotation=3.0,
                collimation=0.15,
                noise=0.02,
                scatter=0.2,
                unsharp=0.4,
                side_markers=0.7,
                marker_rate=0.5,
                marker_shortcut=0.3,
            ),
        ),
        DomainSettings(
            name="adult_pa",
            title="Adults, posteroanterior, lung masks",
            description="Standing adults of every build in full inspiration, digitised film.",
            plays="jsrt",
            tasks=_MASKS,
            cases=800,
            parts=SplitSizes(train=400, validation=100, test=300),
            dials=Dials(
                age=50.0,
                variety=1.4,
                positioning=1.5,
                prevalence=0.45,
                severity=0.7,
                repeats=0.05,
                collimation=0.1,
                contrast=1.0,
                noise=0.03,
                scatter=0.4,
                side_markers=0.3,
                marker_rate=0.1,
            ),
        ),
        DomainSettings(
            name="county",
            title="Adults of a screening programme, posteroanterior, lung masks",
            description="Younger and older adults, half of them with opacities, another detector and a hard "
            "display curve, black collimated bands.",
            plays="montgomery",
            tasks=_MASKS,
            cases=600,
            parts=SplitSizes(train=300, validation=75, test=225),
            dials=Dials(
                age=38.0,
                prevalence=0.5,
                severity=0.6,
                repeats=0.0,
                positioning=1.6,
                rotation=4.0,
                magnification=0.9,
                collimation=0.7,
                contrast=1.45,
                brightness=0.1,
                gamma=1.5,
                unsharp=0.0,
                noise=0.02,
                scatter=0.45,
                blur=0.012,
                side_markers=1.0,
                marker_rate=0.8,
            ),
        ),
        DomainSettings(
            name="hospital",
            title="Hospital patients of any kind, both projections, noisy labels",
            description="Mixed projections, bedside images with devices and text markers, several "
            "processings, labels mined from reports.",
            plays="chestxray14",
            tasks=_CLASSES,
            cases=1000,
            parts=SplitSizes(train=500, validation=100, test=400),
            dials=Dials(
                age=50.0,
                prevalence=0.35,
                severity=0.6,
                label_noise=0.08,
                repeats=0.15,
                ap_share=0.5,
                positioning=1.5,
                rotation=4.0,
                collimation=0.4,
                contrast=1.1,
                unsharp=0.6,
                processing_spread=1.2,
                noise=0.018,
                scatter=0.35,
                devices=0.35,
                side_markers=0.8,
                marker_rate=0.5,
            ),
        ),
    )
}


def domain_settings(domain: str) -> DomainSettings:
    """Return the settings of a domain.

    Raises
    ------
    DataError
        If there is no such domain.
    """
    if domain not in DOMAINS:
        raise DataError(f"unknown phantom domain {domain!r}; {suggestion(domain, DOMAINS)}")
    return DOMAINS[domain]
