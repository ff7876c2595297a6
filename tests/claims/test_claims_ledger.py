"""Ledgers: the shipped one, a user's own, and broken ones."""

import pytest

from mmbench.claims.ledger import COLUMNS, load_ledger, parse_ledger, read_ledger
from mmbench.errors import ClaimError

HEAD = ",".join(COLUMNS)
ROW = "Someone 2025 Table 1,Net,unet,,10,in-domain,jsrt,123,,dice,0.912,bold"


def test_a_users_ledger_is_read(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(f"{HEAD}\n{ROW}\n")
    (claim,) = read_ledger(path)
    assert (claim.model, claim.method, claim.metric, claim.value) == ("Net", "unet", "dice", 0.912)
    assert (claim.budget_classification, claim.budget_segmentation) == (None, "10")
    assert claim.half_unit == pytest.approx(0.0005)
    assert claim.name == "Net –/10"
    assert load_ledger([path])[-1] == claim


def test_columns_may_come_in_any_order_and_optional_ones_may_be_missing():
    text = "value,metric,cases,dataset,scope,model,source\n0.5,accuracy,10,chestxray14,cross-domain,M,S\n"
    (claim,) = parse_ledger(text, "x")
    assert claim.positives is None
    assert claim.method == ""


def test_the_shipped_ledger_is_whole():
    claims = load_ledger()
    sources = {claim.source for claim in claims}
    assert not any("MELBA" in source for source in sources)
    table = [c for c in claims if c.metric == "accuracy"]
    assert all(0 <= claim.value <= 1 for claim in table)
    keys = [(c.line, c.dataset, c.metric) for c in claims]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x: has no column 'source'"),
        ("source,model\na,b\n", "x: has no column 'scope'"),
        (f"{HEAD}\n", "holds no claim"),
        (f"{HEAD}\n{ROW.replace('0.912', 'high')}\n", "x line 2: value 'high' is not a number"),
        (f"{HEAD}\n{ROW.replace('0.912', '0.9_12')}\n", "x line 2: value '0.9_12' is not a number"),
        (f"{HEAD}\n{ROW.replace('0.912', '91.2')}\n", "value 91.2 of dice is outside 0 to 1; write 0.912"),
        (f"{HEAD}\n{ROW.replace('0.912', '0,912')}\n", "x line 2: has 13 fields instead of 12; quote values"),
        (f"{HEAD}\n{ROW.replace(',dice,', ',dicee,')}\n", "x line 2: metric 'dicee'; did you mean 'dice'?"),
        (f"{HEAD}\n{ROW}\n{ROW}\n", "x line 3: Net –/10 has this dice twice; remove one"),
        (f"{HEAD.replace('marked', 'value')}\n{ROW}\n", "x: column 'value' stands twice"),
        (f"{HEAD.replace('marked', 'markd')}\n{ROW}\n", "x: unknown column 'markd'; did you mean 'marked'?"),
        (f"{HEAD.replace(',', ';')}\n{ROW.replace(',', ';')}\n", "x: its columns are separated by ';'"),
        (f"{HEAD}\n{ROW.replace('0.912', 'nan')}\n", "x line 2: value 'nan' is not a number"),
        (f"{HEAD}\n{ROW.replace('0.912', '')}\n", "x line 2: value is empty"),
        (
            f"{HEAD}\n{ROW}\n{ROW.replace('in-domain', 'in domain')}\n",
            "x line 3: scope 'in domain'; did you mean",
        ),
        (
            f"{HEAD}\n{ROW.replace(',123,', ',12.5,')}\n",
            "x line 2: cases '12.5' is not a whole number above 0",
        ),
        (
            f"{HEAD}\n{ROW.replace(',123,,', ',123,200,')}\n",
            "x line 2: positives 200 is larger than cases 123",
        ),
    ],
)
def test_a_broken_ledger_is_one_line(text, message):
    with pytest.raises(ClaimError) as caught:
        parse_ledger(text, "x")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unreadable_files_are_one_line(tmp_path):
    with pytest.raises(ClaimError, match="cannot be read"):
        read_ledger(tmp_path / "none.csv")
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ClaimError, match="not UTF-8"):
        read_ledger(binary)


def test_names_with_commas_and_quotes_are_kept():
    quoted = ROW.replace("Net", '"Net, the ""big"""')
    assert parse_ledger(f"{HEAD}\n{quoted}\n", "x")[0].model == 'Net, the "big"'


@pytest.mark.parametrize(("printed", "half"), [("0.91", 0.005), ("9.1e-1", 0.005), ("1", 0.5), (".5", 0.05)])
def test_half_a_unit_is_of_the_last_printed_digit(printed, half):
    (claim,) = parse_ledger(f"{HEAD}\n{ROW.replace('0.912', printed)}\n", "x")
    assert claim.half_unit == pytest.approx(half)
