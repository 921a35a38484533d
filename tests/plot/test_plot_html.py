"""HTML for notebooks: well formed, escaped, equal to what the objects say."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np

import faltung as ft
from faltung.plot import html


def cells(text: str) -> list[str]:
    return ["".join(cell.itertext()) for cell in ET.fromstring(f"<div>{text}</div>").iter("td")]


def test_a_kernel_is_a_table_of_its_taps() -> None:
    assert cells(html.kernel([[1, -2], [0, 0.5]])) == ["1", "−2", "0", "0.5"]
    assert html.kernel([[1, -1]]).count("<table") == 1
    assert html.kernel(np.ones((3, 2, 2))).count("<table") == 3
    assert "background:#b2182b" in html.kernel([5])
    assert cells(html.kernel([1 + 2j, np.nan])) == ["1+2j", "nan+0j"]
    assert cells(html.kernel(np.array(7))) == ["7"]
    assert html.kernel(np.ones((40, 2))) == "<p>40 x 2 taps, float64</p>"
    assert html.kernel([]) == "<p>0 taps, float64</p>"


def test_a_convolution_shows_its_description() -> None:
    c = ft.Convolution([[1, 2]], boundary="wrap", axes=(0, 1))
    text = html.convolution(c)
    assert ET.fromstring(f"<div>{text}</div>").findtext("code") == repr(c)
    assert cells(text) == ["1", "2"]
    assert "taps" in html.convolution(ft.Convolution(np.ones((16, 3, 5, 5)), channels=True))


def test_a_plan_shows_what_it_explains() -> None:
    plan = ft.Convolution([1.0, 2.0, 1.0]).plan(1000)
    root = ET.fromstring(html.plan(plan))
    rows = [(row.findtext("th"), row.findtext("td")) for row in root.iter("tr")]
    lines = plan.explain().splitlines()
    assert len(rows) == len(lines)
    for (topic, text), line in zip(rows, lines, strict=True):
        assert line.split() == f"{topic} {text}".split()
    assert ("formula", plan.formula) in rows
