"""``mmbench data``: importing a dataset, looking at one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmbench.cli.output import Json, console, make_table, print_json, shown
from mmbench.cli.run import DataRoot
from mmbench.terminal import print_table
from mmbench.text import plural

if TYPE_CHECKING:
    from mmbench.data.dataset import Dataset
    from mmbench.data.importing import ImportReport

app = typer.Typer(no_args_is_help=True, help="Import, check or look at datasets.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="A name from mmbench list datasets.")]

Csv = Annotated[str | None, typer.Option("--path", metavar="CSV", help="manifest only: the CSV file.")]
Domain = Annotated[
    str | None,
    typer.Option("--name", metavar="DOMAIN", help="manifest only: which of the domains that it holds."),
]
Sheet = Annotated[
    Path | None,
    typer.Option("--sheet", metavar="PNG", help="Where the contact sheet goes; <name>.png when left out."),
]


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
    white_level: Annotated[
        int | None,
        typer.Option(metavar="LEVEL", min=255, max=65535, help="Of 16-bit files, the level that is white."),
    ] = None,
    sheet: Sheet = None,
    json: Json = False,
) -> None:
    """Check a real dataset against its published layout and counts, decode it once, and show some of it."""
    from mmbench.cli.progress import CountDisplay
    from mmbench.data import contact_sheet
    from mmbench.data.catalogue import load_dataset
    from mmbench.data.importing import DEFAULT_IMAGE_SIZES, import_dataset
    from mmbench.plugins.discovery import discover
    from mmbench.protocol.schema import DatasetChoice

    discover()  # datasets of installed packages
    with CountDisplay(console(stderr=True), f"decoding {name}") as display:
        report = import_dataset(
            name,
            path,
            image_sizes=image_size or DEFAULT_IMAGE_SIZES,
            skip_bad=skip_bad,
            white_level=white_level,
            progress=display,
        )
    choice = DatasetChoice(dataset=report.name)
    dataset = load_dataset(choice, image_size=report.image_sizes[0], seed=0)
    written = contact_sheet.write(dataset, sheet or Path(f"{report.name}.png"))
    if json:
        print_json({**report.to_json(), "contact_sheet": str(written.resolve())})
    else:
        _show_import(report, written)


def _show_import(report: ImportReport, sheet: Path) -> None:
    out = console()
    table = make_table(report.name, "found", "published", "", right=("found", "published"))
    for word, found, published in report.compared_counts:
        differs = published is not None and found != published
        table.add_row(word, str(found), "–" if published is None else str(published), "differs" * differs)
    print_table(out, table)
    out.print()
    sizes = ", ".join(str(size) for size in report.image_sizes)
    lines = [
        f"from           {report.root}",
        f"cached         at {sizes} pixels in {report.seconds:.1f} s",
        f"digest         {report.data_digest}",
        *(f"skipped        {file}: {reason}" for file, reason in report.skipped),
        *(f"note           {note}" for note in report.notes),
        f"contact sheet  {shown(sheet)}",
        f"look closer    mmbench data check {report.name}",
    ]
    for line in lines:
        out.print(line, soft_wrap=True)


@app.command()
def check(
    name: Name,
    data_root: DataRoot = None,
    image_size: Annotated[
        int, typer.Option(metavar="PIXELS", min=16, max=2048, help="Side of the images that are looked at.")
    ] = 256,
    path: Csv = None,
    domain: Domain = None,
    json: Json = False,
) -> None:
    """Look for what is odd: shapes, contrast, duplicates, patients, labels, masks.

    Nothing is changed and nothing found is an error: it says what to look at before training.
    """
    from mmbench.cli.progress import CountDisplay
    from mmbench.data.audit import audit
    from mmbench.data.catalogue import describe, files_of, load_dataset
    from mmbench.plugins.discovery import discover
    from mmbench.protocol.schema import DatasetChoice

    discover()  # datasets of installed packages
    choice = DatasetChoice(dataset=describe(name).name, name=domain, path=path)
    with CountDisplay(console(stderr=True), f"preparing {name}") as display:
        dataset = load_dataset(choice, image_size=image_size, seed=0, data_root=data_root, progress=display)
    found = audit(dataset, files_of(choice, data_root))
    if json:
        findings = [one.to_json() for one in found]
        print_json({"name": dataset.name, "notes": dataset.notes, "findings": findings})
        return
    out = console()
    for note in dataset.notes:
        out.print(f"note        {note}", soft_wrap=True)
    for one in found:
        out.print(f"{one.about:<10}  {one.line}", soft_wrap=True)
    counted = plural(len(found), "thing") if found else "nothing"
    out.print(f"{plural(len(dataset.cases), 'image')} looked at; {counted} found", soft_wrap=True)


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
    path: Csv = None,
    domain: Domain = None,
    dial: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="phantom:* only: turn a dial; repeatable."),
    ] = None,
    sheet: Sheet = None,
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
