from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frostline.report.cells import cell, cell_text
from frostline.report.model import Column, Kind


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (0.432, "percent", "43.2"),
        (1.0, "percent", "100.0"),
        (0.013, "points", "+1.3"),
        (-0.002, "points", "-0.2"),
        (-0.0004, "points", "0.0"),
        (0.0031, "p", "0.003"),
        (0.00099, "p", "<0.001"),
        (0.0, "p", "<0.001"),
        (1.0, "p", "1.000"),
        (0.0534, "seconds", "0.05 s"),
        (4.9, "seconds", "4.90 s"),
        (187.3, "seconds", "187 s"),
        (9000.0, "seconds", "2.5 h"),
        (2**31, "bytes", "2.00 GiB"),
        (2_590_000, "count", "2,590,000"),
        (12.5, "count", "12.5"),
        (0.001, "number", "0.001"),
        (4.333, "number", "4.33"),
        (1234.5, "number", "1234"),
        (123456.0, "number", "123,456"),
        (2.0, "signed", "+2"),
        (-0.125, "signed", "-0.125"),
        (0.0, "signed", "0"),
        ("freeze_1_to_3", "text", "freeze_1_to_3"),
        (True, "text", "yes"),
        (7, "text", "7"),
    ],
)
def test_a_value_is_written_for_people(value: object, kind: Kind, text: str) -> None:
    assert cell_text(value, kind) == text


@given(
    value=st.one_of(st.none(), st.floats(), st.integers(-(10**12), 10**12), st.text(), st.booleans()),
    kind=st.sampled_from(["text", "count", "number", "signed", "percent", "points", "seconds", "bytes", "p"]),
)
def test_what_is_not_defined_is_empty_and_nothing_reads_nan(value: object, kind: Kind) -> None:
    text = cell_text(value, kind)
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        assert text == ""
    elif not isinstance(value, str):
        assert text and "nan" not in text and "inf" not in text


@given(st.floats(0, 1))
def test_no_p_value_is_written_as_zero(value: float) -> None:
    assert float(cell_text(value, "p").lstrip("<")) > 0


def test_an_interval_is_written_in_the_unit_of_its_value() -> None:
    row = {"s": 4000.0, "low": 3500.0, "high": 4100.0, "m": 0.432, "m_low": 0.41, "m_high": 0.451, "none": math.nan}
    assert str(cell(row, Column("s", "", "seconds", "low", "high"))) == "1.1 (1.0 to 1.1) h"
    assert str(cell(row, Column("m", "", "percent", "m_low", "m_high"))) == "43.2 (41.0 to 45.1)"
    assert str(cell(row, Column("m", "", "percent", "m_low", "none"))) == "43.2"
    assert str(cell(row, Column("none", "", "percent", "m_low", "m_high"))) == ""
    assert str(cell(row, Column("missing", "", "percent"))) == ""
