"""Tables as spreadsheets save them: what is read, and what is refused with file and line."""

import csv
import io

import pytest

from mmbench.errors import DataError
from mmbench.tables import parse_table, read_table

HEADER, ROWS = "image,label,mask\n", "0.png,1,\n1.png,0,m.png\n"


def test_rows_are_read_as_the_csv_module_reads_them():
    text = HEADER + '"a, b.png", 1 ,"say ""m"".png"\n\n1.png,0,\n'
    table = parse_table(text, "t.csv", ["image"])
    expected = [{k: v.strip() for k, v in row.items()} for row in csv.DictReader(io.StringIO(text))]
    assert [row.values for row in table.rows] == expected
    assert [row.where for row in table.rows] == ["t.csv line 2", "t.csv line 4"]


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends_and_byte_order_marks_do_not_matter(tmp_path, ends, mark):
    path = tmp_path / "t.csv"
    path.write_bytes(mark + (HEADER + ROWS).replace("\n", ends).encode())
    table = read_table(path, ["image"])
    assert table.columns == ("image", "label", "mask")
    assert [row["label"] for row in table.rows] == ["1", "0"]


def test_columns_without_a_name_at_the_end_are_empty_ones_of_a_spreadsheet():
    table = parse_table("image,label,,\n0.png,1,,\n1.png,0\n", "t.csv")
    assert [row.values for row in table.rows] == [
        {"image": "0.png", "label": "1"},
        {"image": "1.png", "label": "0"},
    ]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1", "cp1252"])
def test_other_encodings_are_named(tmp_path, encoding):
    path = tmp_path / "t.csv"
    path.write_bytes((HEADER + "röntgen.png,1,\n").encode(encoding))
    with pytest.raises(DataError, match=r"t\.csv: is not UTF-8 text; save it as 'CSV UTF-8'"):
        read_table(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,label,label\n0.png,1,0\n", "t.csv: column 'label' stands twice"),
        (
            HEADER + "0.png,0,813,x\n",
            "t.csv line 2: has 4 fields instead of 3; quote values that hold commas",
        ),
        (HEADER + "0.png,0,813,\n", "t.csv line 2: has 4 fields instead of 3"),
        ("image,label,,\n0.png,0,813,\n", "t.csv line 2: has 4 fields instead of 2"),
        (HEADER + '0.png,"1,m.png\n1.png",0\n', "t.csv line 3: a value goes over several lines"),
        (HEADER + "0.png,1\n", "t.csv line 2: has 2 fields instead of 3"),
        ("image;label\n0.png;1\n", "t.csv: its columns are separated by ';'; commas are needed"),
        ("image\tlabel\n0.png\t1\n", "separated by tabs"),
        ("image|label\n0.png|1\n", "separated by '|'"),
        ("image,lable\n0.png,1\n", "t.csv: unknown column 'lable'; did you mean 'label'?"),
        ("image,age\n0.png,1\n", "t.csv: unknown column 'age'; remove it; valid: label, mask"),
        ("label\n1\n", "t.csv: has no column 'image'; its columns: label"),
        ("", "t.csv: has no column 'image'; its columns: none"),
        (HEADER + '0.png,"1,\n', "t.csv line 2: is not CSV"),
    ],
)
def test_what_would_move_or_lose_a_value_is_refused(text, message):
    with pytest.raises(DataError) as caught:
        parse_table(text, "t.csv", ["image"], known=("image", "label", "mask"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_repeated_row_is_named_with_both_lines():
    table = parse_table(HEADER + ROWS + "0.png,0,\n", "t.csv")
    with pytest.raises(DataError, match=r"t\.csv line 4: '0\.png' stands twice, first at t\.csv line 2"):
        list(table.unique("image"))
