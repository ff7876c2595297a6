"""Seeds until decided beside AdaStop: ``python -m benchmarks.against_adastop [REPORTS]``.

AdaStop (Mathieu et al. 2023, arXiv:2306.10882; ``pip install adastop``) is a group-sequential permutation
test for scores of whole trainings. Both designs see the same simulated reports (``benchmarks/validity.py``):
five looks after 4 to 20 seeds for AdaStop, 3 to 20 for ours. AdaStop gets each training's mean over cases,
averaged over budgets, and half of the error for each domain. It asks whether two methods differ at all, for
these patients, so what is compared is how often a difference is claimed and how many seeds that takes.
"""

import sys

import numpy as np
from adastop import MultipleAgentsComparator

from benchmarks.validity import (
    BUDGETS,
    DOMAINS,
    FRIENDLY,
    MIXED,
    PROTOCOL,
    ROWS,
    followed,
    simulate,
)

MOST, LOOKS = 20, 5


def by_adastop(block, seed):
    """Return the rows that AdaStop finds different from the first, and the seeds of each row."""
    values = block.scores["dice"].mean(axis=1).reshape(ROWS, len(BUDGETS), MOST).mean(axis=1)
    comparator = MultipleAgentsComparator(
        n=MOST // LOOKS,
        K=LOOKS,
        comparisons=np.array([(0, row) for row in range(1, ROWS)]),
        alpha=PROTOCOL.statistics.alpha / len(DOMAINS),
        seed=seed,
    )
    seeds = np.full(ROWS, MOST)
    for look in range(1, LOOKS + 1):
        count = look * MOST // LOOKS
        comparator.partial_compare({f"m{row}": values[row, :count] for row in range(ROWS)}, verbose=False)
        for row in range(1, ROWS):
            if comparator.decisions[str(np.array([0, row]))] != "continue":
                seeds[row] = min(seeds[row], count)
        if comparator.is_finished:
            break
    decisions = {row: comparator.decisions[str(np.array([0, row]))] for row in range(1, ROWS)}
    return {row for row, word in decisions.items() if word in ("larger", "smaller")}, seeds


def by_looks(blocks, seed):
    """Return, for each domain, the rows that are found better or worse, and the seeds of each row."""
    looks = followed(blocks, 3, MOST, seed)
    fallen = [one for _, one in looks.decided if one.verdict != "equivalent"]
    different = [{int(one.row[1:]) for one in fallen if one.domain == domain} for domain in DOMAINS]
    return different, np.array([looks.seeds_of(f"m{row}") for row in range(ROWS)])


def compared(reports, shifts):
    """Return claims of a difference by row, reports with a false one, and seeds; AdaStop's, then ours."""
    rng = np.random.default_rng([23, *np.abs(1e6 * shifts).astype(int)])
    claims, false, seeds = np.zeros((2, ROWS)), np.zeros(2), np.zeros(2)
    for _ in range(reports):
        blocks, seed = simulate(FRIENDLY, MOST, shifts, rng), int(rng.integers(2**32))
        theirs = [by_adastop(block, seed) for block in blocks]
        ours, needed = by_looks(blocks, seed)
        # A row is trained as long as one of its domains is open.
        used = np.max([one for _, one in theirs], axis=0)
        for which, found in enumerate(([rows for rows, _ in theirs], ours)):
            for rows in found:
                claims[which, sorted(rows)] += 1 / len(DOMAINS)
            false[which] += any(shifts[row] == 0 for rows in found for row in rows)
        seeds += used[1:].mean(), needed[1:].mean()
    return claims / reports, false / reports, seeds / reports


def main():
    """Print the table."""
    reports = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    print(f"{reports} reports, margin {PROTOCOL.statistics.equivalence}")
    print("| true differences | design | reports with a difference found where there is none | mean seeds |")
    print("| --- | --- | ---: | ---: |")
    by_row = []
    for words, shifts in (("none", np.zeros(ROWS)), ("of all kinds", MIXED)):
        claims, false, seeds = compared(reports, shifts)
        for which, design in enumerate(("AdaStop", "until decided")):
            print(f"| {words} | {design} | {100 * false[which]:.1f} % | {seeds[which]:.1f} |", flush=True)
        by_row = [(shift, *claims[:, row]) for row, shift in enumerate(shifts) if row]
    print("\n| true difference | found by AdaStop | better or worse by more than the margin, until decided |")
    print("| ---: | ---: | ---: |")
    for shift, theirs, ours in by_row:
        print(f"| {shift:+.3f} | {100 * theirs:.1f} % | {100 * ours:.1f} % |")


if __name__ == "__main__":
    main()
