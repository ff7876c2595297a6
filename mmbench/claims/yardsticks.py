"""External numbers to hold ours against: what others reached on these data sets, and how comparable it is."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

from mmbench.claims.ledger import YARDSTICKS, check_value
from mmbench.errors import ClaimError, suggestion
from mmbench.protocol.metrics import METRICS
from mmbench.protocol.vocabulary import Task
from mmbench.tables import parse_table

COLUMNS = (
    "task",
    "metric",
    "trained_on",
    "tested_on",
    "model",
    "value",
    "high",
    "comparability",
    "source",
)


@dataclass(frozen=True)
class Yardstick:
    """A published number of a data set.

    Attributes
    ----------
    task : Task
        What was learned.
    metric : str
        The metric's name.
    trained_on, tested_on : str
        Data sets; empty where the number is of no particular one.
    model, value : str and float
        What reached it, and the number as printed; its lower end where it is a range.
    high : float or None
        The upper end of a range.
    comparability, source : str
        In which way it differs from what is measured here, and where it stands.
    """

    task: Task
    metric: str
    trained_on: str
    tested_on: str
    model: str
    value: float
    high: float | None
    comparability: str
    source: str

    def of(self, task: Task, metric: str, source: str, tested: str) -> bool:
        """Whether it is of this task and metric, trained and tested on these data sets."""
        return (
            (self.task, self.metric) == (task, metric)
            and self.trained_on in ("", source)
            and self.tested_on in ("", tested)
        )


def load_yardsticks() -> list[Yardstick]:
    """Return the shipped ledger's numbers."""
    text = files("mmbench.published").joinpath(YARDSTICKS).read_text(encoding="utf-8")
    return parse_yardsticks(text, YARDSTICKS)


def parse_yardsticks(text: str, source: str) -> list[Yardstick]:
    """Return the numbers of a ledger's text; ``source`` names it in messages.

    Raises
    ------
    ClaimError
        If it cannot be read, naming file, line and column.
    """
    table = parse_table(text, source, COLUMNS, known=COLUMNS, error=ClaimError)
    found = []
    for row in table.rows:
        values = row.values
        metric = METRICS.get(values["metric"])
        if metric is None:
            raise ClaimError(
                f"{row.where}: metric {values['metric']!r}; {suggestion(values['metric'], METRICS)}"
            )
        if metric.task.value != values["task"]:
            raise ClaimError(f"{row.where}: {metric.name} is a metric of {metric.task.value}")
        for number in (values["value"], values["high"]):
            if number or not values["value"]:
                check_value(metric.name, number, row.where)
        for name in ("model", "comparability", "source"):
            if not values[name]:
                raise ClaimError(f"{row.where}: {name} is empty; every number needs one")
        found.append(
            Yardstick(
                task=metric.task,
                metric=metric.name,
                trained_on=values["trained_on"],
                tested_on=values["tested_on"],
                model=values["model"],
                value=float(values["value"]),
                high=float(values["high"]) if values["high"] else None,
                comparability=values["comparability"],
                source=values["source"],
            )
        )
    return found
