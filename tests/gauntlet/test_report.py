"""The report: self-contained, readable, and deaf to what a model says."""

import json
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from gauntlet.conclude import conclude
from gauntlet.picture import BROWSERS, FLAGS
from gauntlet.runfiles import read_run
from tests.gauntlet.backend import Backend
from tests.gauntlet.conftest import ask
from tests.gauntlet.oracle import Oracle

Prepared = Callable[..., Path]

ATTACK = (
    "</pre></details><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    "{{ 7 * 7 }} <a href=\"javascript:document.title='owned'\">x</a>"
)
BROWSER = next((found for name in BROWSERS if (found := shutil.which(name))), None)


@pytest.fixture
def attacked(prepared: Prepared) -> Path:
    """A run in which every answer is an attack, and so is the model's name."""
    with Backend("good", override=lambda messages: ATTACK) as backend:
        folder = prepared(backend, subject={"model": "<script>document.title='owned'</script>", "revision": "r&d"})
        ask(folder)
    conclude(folder)
    return folder


def test_what_decides_stands_first_and_alone(prepared: Prepared):
    """The reasons of suites that passed, and what was only measured, wait behind a summary."""
    with Backend("leaky") as backend:
        folder = prepared(backend)
        ask(folder)
    conclude(folder)
    page = (folder / "report.html").read_text()
    shown, _, folded = page.partition('<details class="aside">')
    assert "6 of 6 samples failed where none may fail" in shown
    assert "Questions: 14 of 14" not in shown and "Questions: 14 of 14" in folded


def test_what_a_model_says_is_text(attacked: Path):
    """No tag of an answer survives, nor of a name; the only script is ours, and the policy names its hash."""
    page = (attacked / "report.html").read_text()
    assert page.count("<script") == 1
    assert "<img" not in page and "javascript:document" in page and 'href="javascript' not in page
    assert "&lt;script&gt;document.title=&#39;owned&#39;&lt;/script&gt;" in page
    assert "{{ 7 * 7 }}" in page
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/=]+'", page)


@pytest.mark.browser
@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_a_browser_runs_our_script_and_no_other(attacked: Path):
    """In Chromium: our script switched the search box on (so the policy's hash is right), the attack did nothing."""
    with tempfile.TemporaryDirectory() as profile:
        page = subprocess.run(
            [
                BROWSER,
                *FLAGS,
                "--no-sandbox",
                f"--user-data-dir={profile}",
                "--dump-dom",
                (attacked / "report.html").as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
    assert "<title>FAIL: " in page and "<title>owned" not in page
    assert '<span class="quiet" id="seen">42 samples</span>' in page
    assert '<div class="tools">' in page


def test_the_page_needs_no_network(attacked: Path):
    """Nothing is loaded from anywhere: no src, no stylesheet, no import, no url()."""
    page = (attacked / "report.html").read_text()
    ours = re.sub(r"<pre.*?</pre>|<span class=\"why\">.*?</span>|<li>.*?</li>", "", page, flags=re.DOTALL)
    assert not re.search(r"\bsrc=|<link|@import|url\(", ours)


def test_every_sample_is_in_the_page_and_verdict_comes_first(attacked: Path):
    """Ids can be linked to; the outcome stands before the first suite."""
    page = (attacked / "report.html").read_text()
    for sample in read_run(attacked).samples:
        assert f'id="{sample.id}"' in page
    assert page.index('<span class="verdict">FAIL</span>') < page.index("<h2>Suites</h2>")


def test_the_report_of_nothing_can_be_drawn(prepared: Prepared):
    """Concluded before any shard began: INCONCLUSIVE, and a page that says so."""
    folder = prepared("http://127.0.0.1:9")
    verdict = conclude(folder)
    assert verdict.outcome == "INCONCLUSIVE"
    assert "Its task ended before it could be asked." in verdict.report.read_text()
    assert json.loads((folder / "verdict.json").read_text())["outcome"] == "INCONCLUSIVE"


@pytest.mark.browser
@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_the_picture_is_a_png_of_the_promised_width(attacked: Path):
    """Its header says 1200 pixels."""
    raw = (attacked / "report.png").read_bytes()
    assert raw.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", raw[16:24])[0] == 1200


def test_without_a_browser_there_is_a_report_and_no_picture(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
):
    """The verdict does not depend on a picture."""
    monkeypatch.setattr("gauntlet.picture.BROWSERS", ())
    verdict = conclude(prepared("http://127.0.0.1:9"))
    assert verdict.picture is None and verdict.report.exists()


def test_load_is_drawn_with_its_distribution_and_price(prepared: Prepared):
    """A chart and a table for each load, the run before beside it, the price of a million tokens; phones scroll it."""
    subject = {"model": "lab/tiny", "gpus": 8, "gpu_hour_price": 2.5}
    home = None
    for _ in range(2):
        with Oracle() as model:
            folder = prepared(model, suites=None, only="performance", subject=subject, baseline=home)
            model.know(read_run(folder).samples)
            ask(folder)
        conclude(folder)
        home = folder
    page = (home / "report.html").read_text()
    assert page.count('<svg class="load"') == 3 and page.count('class="knee"') == 3 and 'class="old"' in page
    assert re.search(r"A million tokens at this rate cost [0-9.]+ of GPU time \([0-9.]+ before\)", page)
    assert "Between tokens, ms" in page and "nan" not in page


def test_what_was_left_out_is_said(prepared: Prepared):
    """A plan without tools is not blamed for them, and nobody believes that they were tested."""
    with Oracle() as model:
        folder = prepared(model, suites=None, only="sanity")
        model.know(read_run(folder).samples)
        ask(folder)
    conclude(folder)
    page = (folder / "report.html").read_text()
    assert "Left out, for it is not offered here:" in page and "sanity/tool-weather (tools)" in page
