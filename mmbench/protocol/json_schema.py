"""The protocol's schema as JSON Schema, for editors and other tools."""

from __future__ import annotations

from typing import Any


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a protocol file, short forms included.

    What only the loader can tell is not in it: that the reference is among the methods, that every role
    has budgets, that no two domains share a name.
    """
    from mmbench.protocol.schema import Protocol

    schema = Protocol.model_json_schema(mode="validation")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:mmbench:protocol",
        **schema,
        "title": "mmbench protocol",
    }
