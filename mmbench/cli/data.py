"""``mmbench data``: importing a dataset, looking at one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmbench.cli.output import Json, console, make_table, print_json, shown
from mmbench.cli.run import DataRoot
from mmbench.terminal import print_table

if TYPE_CHECKING:
    from mmbench.data.dataset import Dataset

app = typer.Typer(no_args_is_help=True, help="Import or look at datasets.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="A name from mmbench list datasets.")]


@app.command("list", hidden=True, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def list_() -> None:
    """Say which command lists the datasets."""
    from mmbench.errors import UserError

    raise UserError("data list: the datasets are listed by 'mmbench list datasets [NAME]'")


@app.command("import")
def import_(
    name: Name,
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="The dataset's folder, or its zip or tar file.")
    ],
    image_size: Annotated[
        list[int] | None,
        typer.Option(
            "--image-size", metavar="PIXELS", help="Decode at this size; repeatable.  (default: 256)"
        ),
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out damaged files and list them, instead of stopping.")
    ] = False,
    json: Json = False,
) -> None:
    """Check a real dataset against its published layout and counts, and decode it once."""
    from mmbench.cli.progress import CountDisplay
    from mmbench.data.importing import DEFAULT_IMAGE_SIZES, import_dataset
    from mmbench.plugins.discovery import discover

    discover()  # datasets of installed packages
    with CountDisplay(console(stderr=True), f"decoding {name}") as display:
        report = import_dataset(
            name,
            path,
            image_sizes=image_size or DEFAULT_IMAGE_SIZES,
            skip_bad=skip_bad,
            progress=display,
        )
    if json:
        print_json(report.to_json())
        return
    for line in report.lines():
        console().print(line, soft_wrap=True)


@app.command()
def show(
    name: Name,
    data_root: DataRoot = None,
    image_size: Annotated[
        int, typer.Option(metavar="PIXELS", min=16, max=2048, help="Side of the images.")
    ] = 128,
    cases: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=10**6, help="Generate, or draw, this many cases."),
    ] = None,
    path: Annotated[str | None, typer.Option(metavar="CSV", help="manifest only: the CSV file.")] = None,
    domain: Annotated[
        str | None,
        typer.Option("--name", metavar="DOMAIN", help="manifest only: which of the domains that it holds."),
    ] = None,
    dial: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="phantom:* only: turn a dial; repeatable."),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(metavar="PNG", help="Where the contact sheet goes; <name>.png when left out."),
    ] = None,
    json: Json = False,
) -> None:
    """Count a dataset's cases by part and class, and draw some of them with their masks."""
    from mmbench.cli.progress import CountDisplay
    from mmbench.data import contact_sheet
    from mmbench.data.catalogue import describe, load_dataset
    from mmbench.plugins.discovery import discover
    from mmbench.protocol.schema import DatasetChoice

    discover()  # datasets of installed packages
    choice = DatasetChoice(
        dataset=describe(name).name,
        name=domain,
        cases=cases,
        path=path,
        dials=dict(map(_dial, dial or ())),
    )
    with CountDisplay(console(stderr=True), f"preparing {name}") as display:
        dataset = load_dataset(choice, image_size=image_size, seed=0, data_root=data_root, progress=display)
    written = contact_sheet.write(dataset, sheet or Path(f"{name.replace(':', '_')}.png"))
    found = _counts(dataset)
    if json:
        print_json(
            {
                "name": dataset.name,
                "parts": found,
                "data_digest": dataset.data_digest,
                "split_digest": dataset.split_digest,
                "notes": dataset.notes,
                "contact_sheet": str(written.resolve()),
            }
        )
        return
    out = console()
    columns = ("cases", "patients", *dataset.classes, "masks")
    table = make_table("part", *columns, right=columns)
    for part, counts in found.items():
        table.add_row(part, *(str(counts[column]) for column in columns))
    print_table(out, table)
    out.print()
    for note in dataset.notes:
        out.print(f"note           {note}", soft_wrap=True)
    out.print(f"digest         {dataset.data_digest}", soft_wrap=True)
    out.print(f"contact sheet  {shown(written)}", soft_wrap=True)


def _dial(text: str) -> tuple[str, Any]:
    """Return a dial's name and value; what is not a number or true or false is text."""
    from json import JSONDecodeError, loads

    from mmbench.errors import DataError

    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise DataError(f"dial: {text!r} is not NAME=VALUE")
    try:
        found = loads(value)
    except JSONDecodeError:
        return name, value
    return name, found if isinstance(found, bool | int | float) else value


def _counts(dataset: Dataset) -> dict[str, dict[str, int]]:
    from mmbench.data.dataset import PARTS

    found = {}
    for part in (*PARTS, "all"):
        cases = dataset.cases.iloc[dataset.part_rows(part)]
        found[part] = {
            "cases": len(cases),
            "patients": int(cases["patient_id"].nunique()),
            **{name: int((cases["label"] == place).sum()) for place, name in enumerate(dataset.classes)},
            "masks": int(cases["has_mask"].sum()),
        }
    return found
