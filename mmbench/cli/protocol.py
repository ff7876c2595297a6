"""``mmbench protocol``: the schema of protocols, and one protocol."""

from __future__ import annotations

from typing import Annotated

import typer

from mmbench.cli.output import Json, print_json
from mmbench.cli.run import ProtocolName

app = typer.Typer(no_args_is_help=True, help="Show a protocol, or print the schema of protocols.")


@app.command()
def schema() -> None:
    """Print the JSON Schema of protocol files, for editors."""
    from mmbench.protocol.json_schema import json_schema

    print_json(json_schema())


@app.command()
def show(
    protocol: ProtocolName,
    complete: Annotated[bool, typer.Option("--complete", help="With every default written out.")] = False,
    json: Json = False,
) -> None:
    """Print a protocol as YAML: the beginning of one's own."""
    from mmbench.protocol.loading import load_protocol, protocol_yaml, resolve_protocol_path

    loaded = load_protocol(protocol)
    if json:
        print_json(loaded.model_dump(mode="json"))
    elif complete:
        typer.echo(protocol_yaml(loaded, complete=True), nl=False)
    else:
        typer.echo(resolve_protocol_path(protocol).read_text(encoding="utf-8-sig"), nl=False)
