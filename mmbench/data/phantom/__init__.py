"""The phantom: chest radiographs with known causes, generated, never downloaded.

A patient's anatomy and disease are drawn first, then placed before a detector and imaged: attenuation by
thickness (Beer-Lambert), scatter, quantum noise, blur, display processing, collimation and burnt-in
letters. Every cause of a domain shift is a dial with bounds; four settings of the dials play the four
data sets of the publication. The images resemble radiographs; they are no substitute for any and show
no person.
"""

from mmbench.data.phantom.dials import Dials, describe_dials, resolve_dials
from mmbench.data.phantom.domains import DOMAINS, DomainSettings, domain_settings
from mmbench.data.phantom.generation import FINDINGS, GENERATOR_VERSION, STRUCTURES, PhantomData, generate

__all__ = [
    "DOMAINS",
    "FINDINGS",
    "GENERATOR_VERSION",
    "STRUCTURES",
    "Dials",
    "DomainSettings",
    "PhantomData",
    "describe_dials",
    "domain_settings",
    "generate",
    "resolve_dials",
]
