"""Files of recorded events: what is read, what is refused in a sentence, and where things were."""

import codecs
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from agents.recordings import Line, Recordings
from streams.errors import ConfigError

COLUMNS = "prediction=y,label=t,timestamp=at"
MS = 1_767_225_600_000
HEAD = "y,t,at\n"
ROW = f"1,0,{MS}\n"
EVENT = b'{"prediction_id": "a", "model": "m", "timestamp_ms": 1767225600000, "prediction": 1}\n'


def lines(*files: Path, columns: str = COLUMNS, missing: str | None = None) -> list[Line]:
    """Read files as a replay does."""
    given = {} if missing is None else {"missing": missing.split(",")}
    recordings = Recordings(files, columns, **given)
    for _ in recordings.look():
        pass
    return list(recordings.lines())


def events(*files: Path, columns: str = COLUMNS, missing: str | None = None) -> list[Any]:
    """Read files of which every record is good."""
    found = lines(*files, columns=columns, missing=missing)
    assert [line.error for line in found if line.error] == []
    return [json.loads(line.value) for line in found]


def write(tmp_path: Path, text: str | bytes, name: str = "rows.csv") -> Path:
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def values(tmp_path: Path, *rows: str) -> list[tuple[Any, Any]]:
    """Return predictions and labels of rows such as `1,0`."""
    text = HEAD + "".join(f"{row},{MS}\n" for row in rows)
    return [(e["prediction"], e["label"]) for e in events(write(tmp_path, text))]


# --- what columns are


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (["1,0", "0,1"], [(1, 0), (0, 1)]),
        (["1.5,2", "1e-05,-3"], [(1.5, 2), (1e-05, -3)]),
        (["1,1", "01,1"], [("1", "1"), ("01", "1")]),
        (["1,1", "1,01"], [("1", "1"), ("1", "01")]),
        (["18_24,18_24", "25,25"], [("18_24", "18_24"), ("25", "25")]),
        (["1E3,1000"], [("1E3", "1000")]),
        (["1E3,999.5"], [(1000.0, 999.5)]),
        (["A,A", "1.5,1.5"], [("A", "A"), ("1.5", "1.5")]),
        (["INF,INF", "7,7"], [("INF", "INF"), ("7", "7")]),
        (["12345678901234567890,1"], [("12345678901234567890", "1")]),
        (["true,false"], [("true", "false")]),
        (["0.83,yes", "1,no"], [(0.83, "yes"), (1, "no")]),
        (["0.83,fraud", "1e-05,legit"], [(0.83, "fraud"), (1e-05, "legit")]),
        (["0.83,yes", "0.5,1"], [("0.83", "yes"), ("0.5", "1")]),
        (["0.83,yes", "A,no"], [("0.83", "yes"), ("A", "no")]),
        (["1,yes", "01,no"], [("1", "yes"), ("01", "no")]),
        (["A,0.83", "B,0.5"], [("A", "0.83"), ("B", "0.5")]),
        (["+1,-1"], [(1, -1)]),
        (["A ,A"], [("A", "A")]),
        (["\u0661,1"], [("\u0661", "1")]),
        (["A,NA", "B,"], [("A", None), ("B", None)]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value[0], str) else "",
)
def test_prediction_and_label_are_numbers_if_all_of_both_are_and_so_are_probabilities_of_words(
    tmp_path: Path, rows: list[str], expected: list[tuple[Any, Any]]
) -> None:
    found = values(tmp_path, *rows)

    assert found == expected
    assert [list(map(type, pair)) for pair in found] == [list(map(type, p)) for p in expected]


@pytest.mark.parametrize(
    ("head", "names"),
    [
        ("pred,truth,at", "pred, truth, at"),
        ("sep=;\nvorhersage;zeit", "vorhersage, zeit"),
        (
            ",".join(f"c{n}" for n in range(31)),
            ", ".join(f"c{n}" for n in range(30)) + ", and 1 more",
        ),
        ("x" * 50, "x" * 40),
    ],
)
def test_a_table_of_which_nobody_said_what_is_what_names_its_columns(
    tmp_path: Path, head: str, names: str
) -> None:
    file = write(tmp_path, f"{head}\n")

    with pytest.raises(ConfigError) as refused:
        Recordings([file])

    assert str(refused.value).endswith(f"timestamp=...; they are {names}")


def test_what_columns_are_is_decided_over_all_files(tmp_path: Path) -> None:
    """Otherwise the class 01 of one day would be the class 1 of the next."""
    first = write(tmp_path, HEAD + ROW, "first.csv")
    second = write(tmp_path, HEAD + f"01,0,{MS}\n", "second.csv")

    found = [(e["prediction"], e["label"]) for e in events(first, second)]

    assert found == [("1", "0"), ("01", "0")]


def test_a_bad_cell_of_a_feature_costs_itself_and_not_the_column(tmp_path: Path) -> None:
    text = "y,t,at,f\n" + "".join(
        f"1,1,{MS},{cell}\n" for cell in ("1", "1e3", "", "NULL", "18_24", "true", "inf", "10" * 15)
    )

    found = events(write(tmp_path, text), columns=COLUMNS + ",feature:f=f")

    assert [e["features"]["f"] for e in found] == [
        *(1, 1000.0, None, None, "18_24", True, None),
        float("10" * 15),
    ]


def test_names_are_taken_as_they_are_written(tmp_path: Path) -> None:
    columns = COLUMNS + ",prediction_id=id,version=v,segment:plan=plan"
    file = write(tmp_path, f"id,v,plan,y,t,at\n007,1.10,1e3,1,1.0,{MS}\n")

    [event] = events(file, columns=columns)

    assert (event["prediction_id"], event["version"]) == ("007", "1.10")
    assert event["segments"] == {"plan": "1e3"}


def test_an_empty_cell_names_nothing(tmp_path: Path) -> None:
    columns = COLUMNS + ",prediction_id=id,version=v,segment:plan=plan"
    file = write(tmp_path, f"id,v,plan,y,t,at\n,,,1,,{MS}\n")

    [event] = events(file, columns=columns)

    assert event["prediction_id"] == "row-0"
    assert not {"version", "segments"} & set(event)
    assert event["label"] is None


MARKERS = ("", "NA", "N/A", "NULL", "null", "None", r"\N", "nan", "NaN")


@pytest.mark.parametrize("marker", MARKERS)
def test_what_other_programs_write_for_nothing_is_missing(tmp_path: Path, marker: str) -> None:
    assert values(tmp_path, "1,0", f"1,{marker}") == [(1, 0), (1, None)]


def test_what_is_missing_can_be_said_where_none_is_a_class(tmp_path: Path) -> None:
    file = write(tmp_path, HEAD + f"None,?,{MS}\n")

    [event] = events(file, missing="?")

    assert (event["prediction"], event["label"]) == ("None", None)


@pytest.mark.parametrize("cell", ["1,234", "1,234.5", "1.234.567", "1 234", "0,5", "1'234"])
@pytest.mark.parametrize("column", ["y", "f", "s"])
def test_a_number_that_can_be_read_in_two_ways_is_refused(
    tmp_path: Path, cell: str, column: str
) -> None:
    cells = {"y": "1", "t": "2.5", "f": "1", "s": "0.1", column: f'"{cell}"'}
    file = write(tmp_path, f"y,t,f,s,at\n{','.join(cells.values())},{MS}\n")

    with pytest.raises(ConfigError, match=rf"rows\.csv:2: {column}: .* write numbers as 1234\.5"):
        events(file, columns=COLUMNS + ",feature:f=f,score=s")


def test_a_class_may_have_a_comma(tmp_path: Path) -> None:
    assert values(tmp_path, '"1,234",A') == [("1,234", "A")]


def test_rows_of_several_tables_have_ids_of_their_own(tmp_path: Path) -> None:
    """A row without a label would be taken for the repetition of another."""
    file = write(tmp_path, HEAD + ROW * 2)

    ids = [event["prediction_id"] for event in events(file, file)]

    assert ids == ["row-0", "row-1", "row-2", "row-3"]


# --- rows that cannot be used


@pytest.mark.parametrize(
    ("row", "reason", "detail"),
    [
        ("1,0", "invalid_row", "2 cells, but the table has 3 columns"),
        (f"1,0,{MS},9", "invalid_row", "4 cells, but the table has 3 columns"),
        ('"1"x,0,1', "invalid_row", "',' expected after '\"'"),
        ("1,0,1/2/2026", "invalid_row", "at: '1/2/2026' is no time"),
        ("1,0,", "implausible_time", "at: there is no time"),
        ("1,0,1767225600", "implausible_time", "at: timestamp_ms 1767225600 is before 1973"),
        (f",0,{MS}", "invalid_row", "y: there is no prediction"),
        (f"inf,0.5,{MS}", "invalid_row", "y: inf is no number"),
    ],
)
def test_a_row_that_cannot_be_used_says_why_and_where(
    tmp_path: Path, row: str, reason: str, detail: str
) -> None:
    file = write(tmp_path, HEAD + "\n" + f"{row}\n" + ROW)

    bad, good = lines(file)

    assert bad.error is not None
    assert (bad.error.reason, bad.place) == (reason, 3)
    assert bad.error.detail.startswith(detail)
    assert (good.error, good.place) == (None, 4)


def test_a_row_over_several_lines_is_where_it_begins(tmp_path: Path) -> None:
    text = f'y,t,at,note\n1,1,{MS},"one\ntwo"\n1\n'

    good, bad = lines(write(tmp_path, text))

    assert (good.place, bad.place) == (2, 4)


def test_a_comma_at_the_end_of_a_row_is_no_cell(tmp_path: Path) -> None:
    file = write(tmp_path, HEAD + f"1,0,{MS},,\n")

    assert [event["label"] for event in events(file)] == [0]


# --- how a CSV is written


@pytest.mark.parametrize(
    "text",
    [
        HEAD + ROW,
        (HEAD + ROW).replace(",", ";"),
        (HEAD + ROW).replace(",", "\t"),
        (HEAD + ROW).replace(",", "|"),
        (HEAD + ROW).replace(",", ", "),
        (HEAD + ROW).replace("\n", "\r\n"),
        (HEAD + ROW).replace("\n", "\r"),
        "sep=;\n" + (HEAD + ROW).replace(",", ";"),
        "\ufeff" + HEAD + ROW,
        "\ufeffsep=;\r\n" + (HEAD + ROW).replace(",", ";"),
        f'"y","t","at"\n"1","0","{MS}"\n',
        f"a;b,y,t,at\nx;y,1,0,{MS}\n",
        f"y,t,at,note\n1,0,{MS},{'x' * 140_000}\n",
        f'y,t,at,"in 5"" or\nmore"\n1,0,{MS},\n',
        f'y,t,at,5"\n1,0,{MS},\n',
    ],
    ids=lambda text: repr(text[:12]),
)
@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz", "rows.tsv"])
def test_a_table_is_read_however_it_is_written(tmp_path: Path, text: str, name: str) -> None:
    data = text.encode()
    file = write(tmp_path, gzip.compress(data) if name.endswith(".gz") else data, name)

    [event] = events(file)

    assert (event["prediction"], event["label"], event["timestamp_ms"]) == (1, 0, MS)


def test_columns_that_are_not_used_may_be_in_any_encoding(tmp_path: Path) -> None:
    file = write(tmp_path, b"y,t,at,n\xe9\n1,0,%d,\xe9\n" % MS)

    assert len(events(file)) == 1


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (HEAD.encode() + b"\xe9,1,2\n", r"rows\.csv:2: prediction is not UTF-8: byte 0xe9.*iconv"),
        (codecs.BOM_UTF16_LE + (HEAD + ROW).encode("utf-16-le"), "is in UTF-16, not UTF-8.*iconv"),
        ((HEAD + ROW).encode("utf-16-le"), "is no text in UTF-8"),
        (gzip.compress(HEAD.encode()), r"is a gzip file; name it rows\.csv\.gz"),
        (b"", "begins with an empty line"),
        (f'{HEAD}{ROW}"1,0,{MS}\n{ROW}'.encode(), r"rows\.csv:3: a quotation mark is opened"),
        (b"y,t,when\n", "timestamp=at: .* has no column 'at', only y, t, when"),
        (b"y,t,at,y\n", "prediction=y: .* has two columns 'y'"),
    ],
    ids=["latin", "utf_16", "no_mark", "gzip", "empty", "open_quote", "no_column", "twice"],
)
def test_a_table_that_cannot_be_read_is_refused_with_the_way_out(
    tmp_path: Path, data: bytes, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        lines(write(tmp_path, data))


# --- JSON lines


@pytest.mark.parametrize("name", ["events.jsonl", "events.json.gz"])
def test_a_byte_order_mark_costs_no_record(tmp_path: Path, name: str) -> None:
    data = codecs.BOM_UTF8 + EVENT * 2
    file = write(tmp_path, gzip.compress(data) if name.endswith(".gz") else data, name)

    assert [event["prediction"] for event in events(file)] == [1, 1]


def test_lines_are_counted_with_those_that_are_empty(tmp_path: Path) -> None:
    file = write(tmp_path, b"\n" + EVENT + b" \n" + EVENT, "events.jsonl")

    assert [line.place for line in lines(file)] == [2, 4]


def test_a_line_that_is_too_long_is_read_in_part(tmp_path: Path) -> None:
    file = write(tmp_path, b"x" * 5_000_000 + b"\n" + EVENT, "events.jsonl")

    bad, good = lines(file)

    assert bad.error is not None
    assert (bad.error.reason, len(bad.value)) == ("too_large", 1_000_002)
    assert (good.error, good.place) == (None, 2)


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.jsonl.gz", gzip.compress(EVENT * 99)[:-9], "its end is missing"),
        ("a.jsonl.gz", EVENT, "no gzip file"),
        ("a.jsonl.gz", gzip.compress(EVENT)[:-8] + b"\0" * 8, "no gzip file, or a damaged one"),
        ("a.jsonl", gzip.compress(EVENT), "is a gzip file"),
        ("a.jsonl", codecs.BOM_UTF16_LE + EVENT.decode().encode("utf-16-le"), "is in UTF-16"),
        ("a.json", b"[" + EVENT.strip() + b"]", "is one JSON array"),
        ("a.json", b"[\n" + EVENT + b"]", "is one JSON array"),
        ("a.json", json.dumps([json.loads(EVENT)], indent=1).encode(), "is one JSON array"),
        ("a.json", json.dumps(json.loads(EVENT), indent=1).encode(), "over several lines"),
    ],
    ids=["cut", "no_gzip", "damaged", "gzip", "utf_16", "one", "many", "indented", "records"],
)
def test_a_recording_that_cannot_be_read_is_refused_with_the_way_out(
    tmp_path: Path, name: str, data: bytes, says: str
) -> None:
    with pytest.raises(ConfigError, match=f"{name}: .*{says}"):
        lines(write(tmp_path, data, name))


@pytest.mark.parametrize("first", [b"[]", b"{", b"[1, 2]", b"[INFO] started"])
def test_a_bad_line_at_the_beginning_is_a_bad_line(tmp_path: Path, first: bytes) -> None:
    file = write(tmp_path, first + b"\n" + EVENT, "events.jsonl")

    assert [line.value for line in lines(file)] == [first, EVENT.strip()]


def test_a_place_is_a_file_and_a_line(tmp_path: Path) -> None:
    files = [write(tmp_path, EVENT, "events.jsonl"), write(tmp_path, HEAD + ROW)]

    recordings = Recordings(files, COLUMNS)
    places = [recordings.where(line.place) for line in lines(*files)]

    assert places == [(files[0], 1), (files[1], 2)]
