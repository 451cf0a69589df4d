"""What an evaluation comes to, and its tables: means, intervals, tests and groups, by hand-made rows."""

import math
import re

import numpy as np
import pytest

from pulse_jax.reports.evaluation import COLUMNS, by_group, case_result, grouped
from pulse_jax.reports.evaluation_tables import (
    case_table,
    group_tables,
    html_tables,
    latex_tables,
    markdown_tables,
    missing_lines,
)
from pulse_jax.reports.interval_plot import Interval, interval_plot
from pulse_jax.reports.statistics import bootstrap_interval, holm, signed_rank, wilson_interval

RNG = np.random.default_rng(0)
FIRST = [{"picture": f"p{i}", "feasible": i < 8, "psnr": float(20 + RNG.normal()), "ssim": None} for i in range(20)]
BETTER = [{**row, "psnr": row["psnr"] + 1 + 0.1 * RNG.random(), "feasible": True} for row in FIRST[:15]]
SAME = [dict(row) for row in FIRST]


def _case():
    rows = {"fast": FIRST, "bet_ter": BETTER, "same": SAME}
    return case_result("8x", 8, "bicubic", rows, {"fast": {"fid": 3.5}, "same": {"fid": None}})


def test_numbers_are_those_of_the_statistics():
    presets = _case()["presets"]
    values = [row["psnr"] for row in FIRST]
    low, high = bootstrap_interval(values)
    assert presets["fast"]["numbers"]["psnr"] == {"mean": np.mean(values), "count": 20, "low": low, "high": high}
    assert presets["fast"]["numbers"]["feasible"]["mean"] == 0.4
    assert presets["bet_ter"]["numbers"]["feasible"]["low"] == wilson_interval(15, 15)[0]
    assert presets["fast"]["numbers"]["fid"] == {"mean": 3.5, "count": 20} and "fid" not in presets["same"]["numbers"]
    assert all("ssim" not in one["numbers"] for one in presets.values())
    # Paired by pictures, of which one preset has fewer.
    p = signed_rank(values[:15], [row["psnr"] for row in BETTER])
    assert [presets[name]["tests"]["psnr"] for name in ("bet_ter", "same")] == holm([p, 1.0])
    assert presets["bet_ter"]["tests"]["feasible"] == pytest.approx(2 * 2 / 2**7) and not presets["fast"]["tests"]


def test_tables_mark_the_best_and_what_differs():
    table = case_table(_case())
    assert [*table.columns] == ["preset", "feasible", "PSNR [dB]", "FID"]
    cells = {name: dict(zip(table.columns[1:], row, strict=True)) for name, row in table.rows}
    assert cells["bet_ter"]["PSNR [dB]"].is_best and cells["bet_ter"]["PSNR [dB]"].mark == "*"
    assert not cells["same"]["PSNR [dB]"].mark and cells["same"]["FID"].mean == "–"
    assert cells["bet_ter"]["feasible"][:2] == ("1.00", "[0.80, 1.00]") and "15 to 20 pictures" in table.title


def test_tables_in_three_languages_keep_texts_as_texts():
    tables = [case_table(_case())._replace(title="a|b_<i>&%$")]
    told = markdown_tables(tables)
    assert re.search(r"\| bet\\_ter \| \*\*1\.00\*\*\\\* \[0\.80, 1\.00\] \|", told) and r"a|b\_\<i\>&%$" in told
    tex = latex_tables(tables)
    assert r"a\textbar{}b\_\textless{}i\textgreater{}\&\%\$" in tex and tex.count(r"\begin{tabular}{lrrr}") == 1
    assert r"bet\_ter & \textbf{1.00}$^*$ {\scriptsize [0.80, 1.00]}" in tex
    page = html_tables(tables)
    assert "a|b_&lt;i&gt;&amp;%$" in page and "<i>" not in page and page.count("<tr>") == 4


def test_groups_by_words_and_by_thirds():
    assert grouped({"a": "x", "b": "", "c": " y "}) == {"a": "x", "c": "y"}
    assert grouped({"a": "1", "b": "2"}) == {"a": "1", "b": "2"}
    thirds = grouped({str(i): str(i) for i in range(12)})
    assert [sum(group == name for group in thirds.values()) for name in dict.fromkeys(thirds.values())] == [4, 4, 4]
    assert grouped({str(i): "nan" if i else "0" for i in range(12)})["1"] == "nan"


def test_groups_that_differ_are_marked():
    rows = [{"picture": str(i), "feasible": True, "psnr": float(i)} for i in range(12)]
    result = by_group("sex", "fast", rows, {str(i): "f" if i < 6 else "m" for i in range(11)})
    assert [*result["groups"]] == ["f", "m"] and result["groups"]["m"]["psnr"]["count"] == 5
    # All of one group below all of the other: H = 12/(N(N+1)) Σ R²/n − 3(N+1), one degree of freedom.
    h = 12 / (11 * 12) * (21**2 / 6 + 45**2 / 5) - 3 * 12
    assert result["tests"]["psnr"] == pytest.approx(math.erfc(math.sqrt(h / 2))) and result["tests"]["feasible"] == 1
    again = by_group("sex", "fast", rows + [{**row, "feasible": False} for row in rows[:3]], dict.fromkeys("0189", "f"))
    assert again["groups"]["f"]["feasible"]["mean"] == 0.5 and again["groups"]["f"]["psnr"]["count"] == 4
    (table,) = group_tables([result])
    assert table.rows[0][0] == "f (6)" and [cell.mark for cell in table.rows[0][1]] == ["", "†"]


def test_reasons_that_are_the_same_stand_in_one_line():
    reasons = {"fid": "FID needs --inception FILE", "kid": "KID needs --inception FILE", "niqe": "image: too small"}
    assert missing_lines(reasons) == ["FID, KID need --inception FILE", "image: too small"]


def test_plots_hold_every_row_inside():
    rows = [Interval("<b>", 1.0, 0.5, 1.5), Interval("one", 3.0, 3.0, 3.0)]
    text = interval_plot('a "plot"', [("first", rows), ("second", rows[1:])])
    assert text.count("<circle") == 3 and "&lt;b&gt;" in text and 'aria-label="a &quot;plot&quot;"' in text
    width, height = map(float, re.findall(r'viewBox="0 0 (\d+) (\d+)"', text)[0])
    across = [float(x) for x in re.findall(r'[c]?x[12]?="([\d.]+)"', text)]
    assert min(across) >= 0 and max(across) <= width
    assert max(float(y) for y in re.findall(r'cy="([\d.]+)"', text)) < height
    assert "nan" not in interval_plot("flat", [("", [Interval("one", 0.0, 0.0, 0.0)])])


def test_columns_have_names_of_their_own():
    assert len({column.name for column in COLUMNS}) == len(COLUMNS)
