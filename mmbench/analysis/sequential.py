"""Verdicts that fall at several looks: Holm's procedure at each, with the error spent bit by bit.

At a look, the comparisons that are not decided yet are judged as one family by intervals at the nominal
level of that look (group-sequential Holm: Ye, Li, Liu and Yao 2013, doi:10.1002/sim.5700). What is decided
stays so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from mmbench.analysis.primary import PRIMARY_SHARE, decided, with_decision
from mmbench.analysis.records import Primary
from mmbench.protocol.schema import Protocol
from mmbench.protocol.vocabulary import Task
from mmbench.stats.sequential import nominal_level, schedule, spent
from mmbench.stats.verdicts import Decision, decide
from mmbench.store.looks import Decided, Look, Looks, Question

PROMISING = 0.5
"""A comparison is futile if it would not be decided even with a difference this many standard errors more
favourable than now."""
WAITING = "open until the next look"


def new_design(protocol: Protocol, family: int, first: int, most: int) -> Looks:
    """Return a design that nobody has looked at yet."""
    alpha = PRIMARY_SHARE * protocol.statistics.alpha
    return Looks(schedule=schedule(first, most), alpha=alpha, family=family)


def question_of(record: Primary) -> Question:
    """Return which comparison a record is of."""
    column = record.column
    return Question(row=record.row, task=Task(column.task), domain=column.domain, metric=column.metric)


def take_look(records: Sequence[Primary], protocol: Protocol, looks: Looks) -> Looks:
    """Return a design with one more look.

    Parameters
    ----------
    records : sequence of Primary
        Every primary comparison, with the seeds of this look.
    protocol : Protocol
        Gives margins' direction and the confidence.
    looks : Looks
        The design and the looks before.
    """
    number = len(looks.looks)
    nominal = partial(nominal_level, looks.schedule, number)
    before = {_key(one) for _, one in looks.decided}
    given_up = {_key(one) for look in looks.looks for one in look.futile}
    pending = [record for record in records if _key(question_of(record)) not in before]
    found = decided(pending, protocol, nominal=nominal)
    settled: list[Decided] = []
    futile: list[Question] = []
    left: list[Question] = []
    for record in found:
        question = question_of(record)
        if record.verdict != "undecided":
            own = record.difference
            settled.append(
                Decided(
                    **question.model_dump(),
                    verdict=record.verdict,
                    difference=own.value,
                    low=own.low,
                    high=own.high,
                    level=record.level,
                    p=record.p_verdict,
                )
            )
        elif _key(question) not in given_up:
            hopeless = _hopeless(record, looks, number)
            (futile if hopeless else left).append(question)
    share = looks.schedule[number] / looks.schedule[-1]
    look = Look(
        seeds=looks.schedule[number],
        spent=spent(share, looks.alpha),
        decided=settled,
        futile=futile,
        open=[] if number + 1 == len(looks.schedule) else left,
    )
    if number + 1 == len(looks.schedule):
        look = look.model_copy(update={"futile": [*futile, *left]})
    return looks.model_copy(update={"looks": [*looks.looks, look]})


def _hopeless(record: Primary, looks: Looks, number: int) -> bool:
    """Whether all the seeds of the design would hardly decide a comparison (a non-binding futility bound)."""
    own = record.difference
    if record.reason or not own.has_interval:
        return False
    factor = looks.schedule[-1] / looks.schedule[number]
    final = nominal_level(looks.schedule, len(looks.schedule) - 1, looks.alpha)
    for shift in (-PROMISING, 0.0, PROMISING):
        moved = replace(own, value=own.value + shift * own.se).after(factor)
        (then,) = decide([moved], [record.margin], final)
        if then.verdict != "undecided":
            return False
    return True


def with_looks(records: Sequence[Primary], protocol: Protocol, looks: Looks) -> tuple[Primary, ...]:
    """Return the primary comparisons with the verdicts that fell at the looks so far.

    What no look has decided is undecided, whatever the seeds that came in since would say.
    """
    fallen = {_key(one): (number, one) for number, one in looks.decided}
    last = max(len(looks.looks) - 1, 0)
    behind = (1 - PRIMARY_SHARE) * protocol.statistics.alpha / max(looks.family, 1)
    left = nominal_level(looks.schedule, last, looks.alpha / max(looks.family - len(fallen), 1))
    waiting = looks.next_seeds is not None
    found = []
    for record in records:
        number, one = fallen.get(_key(question_of(record)), (last, None))
        nominal = partial(nominal_level, looks.schedule, number)
        if one is None:
            own = record.difference
            shown = own.at(left) if own.has_interval else own
            reason = record.withheld or (WAITING if waiting else "")
            decision = Decision(shown, "undecided", left, float("nan"), reason)
        else:
            kept = replace(record.difference, value=one.difference, low=one.low, high=one.high)
            decision = Decision(kept, one.verdict, one.level, one.p)
        found.append(
            replace(
                with_decision(record, decision, looks.family, behind, nominal), look=number if one else None
            )
        )
    return tuple(found)


def _key(question: Question) -> tuple[str, str, str, str]:
    return question.row, question.task.value, question.domain, question.metric
