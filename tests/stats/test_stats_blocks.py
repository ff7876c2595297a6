"""From the long frame to arrays."""

import numpy as np
import pandas as pd
import pytest

from mmbench.stats.blocks import blocks


def frame(**changes) -> pd.DataFrame:
    rows = []
    for run in range(2):
        for case in (3, 1, 2):
            rows.append(
                {
                    "run": f"run {run}",
                    "row": "enc",
                    "method": "enc",
                    "budget_classification": "4",
                    "budget_segmentation": None,
                    "subset": 0,
                    "seed": run,
                    "domain": "here",
                    "task": "classification",
                    "in_domain": True,
                    "case_id": f"case {case}",
                    "patient_id": f"patient {case // 2}",
                    "probability": run + case / 10,
                    "label": case % 2,
                    "dice": np.nan,
                }
            )
    return pd.DataFrame(rows).assign(**changes)


def test_scores_are_trainings_by_cases():
    (one,) = blocks(frame())
    assert one.case_ids.tolist() == ["case 3", "case 1", "case 2"]
    assert one.scores["probability"].tolist() == [[0.3, 0.1, 0.2], [1.3, 1.1, 1.2]]
    assert "dice" not in one.scores  # nothing of it is known here
    assert one.trainings["seed"].tolist() == [0, 1]
    assert one.patient_count == 2
    assert one.patients[0] == one.patients[2] != one.patients[1]


def test_another_order_of_cases_is_put_right():
    mixed = frame()
    mixed = pd.concat([mixed.iloc[:3], mixed.iloc[[5, 3, 4]]], ignore_index=True)
    (one,) = blocks(mixed)
    assert one.scores["probability"].tolist() == [[0.3, 0.1, 0.2], [1.3, 1.1, 1.2]]


@pytest.mark.parametrize("mend", [lambda f: f.iloc[:-1], lambda f: f.replace({"case 2": "case 9"}).iloc[:4]])
def test_other_cases_are_refused(mend):
    with pytest.raises(ValueError, match="here, classification: the runs were not scored on the same cases"):
        blocks(mend(frame()))
