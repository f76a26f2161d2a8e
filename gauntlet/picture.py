"""The verdict as a picture for a chat: drawn as SVG, turned into a PNG by a browser where there is one."""

import os
import shutil
import subprocess
import tempfile
import textwrap
from collections.abc import Sequence
from html import escape
from pathlib import Path

from gauntlet.runfiles import Run
from gauntlet.verdict import SuiteVerdict

WIDTH = 1200
ROW, TOP, LINE = 92, 176, 30
TONES = {"PASS": ("#1b7f4d", "#dff2e6"), "FAIL": ("#b3261e", "#fbe4e1"), "INCONCLUSIVE": ("#8a5a00", "#fbeecb")}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)
PATIENCE_S = 30.0


def browser() -> str | None:
    """The program that can draw, or None where there is none."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def draw_picture(
    path: Path, run: Run, outcome: str, reasons: Sequence[str], suites: Sequence[SuiteVerdict]
) -> Path | None:
    """Replace `path` (PNG) and return it, or None where no browser could draw it: the report does without."""
    program = browser()
    if program is None:
        return None
    svg, height = picture_of(run, outcome, reasons, suites)
    with tempfile.TemporaryDirectory(prefix="gauntlet-picture-") as scratch:
        page, shot = Path(scratch) / "picture.html", Path(scratch) / "picture.png"
        page.write_text(f"<!doctype html><meta charset=utf-8><style>*{{margin:0}}</style>{svg}", encoding="utf-8")
        argv = [
            program,
            *FLAGS,
            *(["--no-sandbox"] if os.geteuid() == 0 else []),  # as root Chromium starts in no other way
            f"--user-data-dir={scratch}/profile",
            f"--screenshot={shot}",
            f"--window-size={WIDTH},{height}",
            page.as_uri(),
        ]
        try:
            subprocess.run(argv, capture_output=True, timeout=PATIENCE_S, check=True)
            aside = path.with_name(f".{path.name}")
            shutil.copyfile(shot, aside)
        except (OSError, subprocess.SubprocessError):
            return None
    aside.replace(path)
    return path


def picture_of(run: Run, outcome: str, reasons: Sequence[str], suites: Sequence[SuiteVerdict]) -> tuple[str, int]:
    """SVG and its height in pixels: the verdict, one bar for each suite, the first reason."""
    name = str(run.subject.get("model") or run.model)
    tone, soft = TONES[outcome]
    lines = textwrap.wrap(reasons[0], 104, max_lines=3, placeholder=" …") if reasons else []
    height = TOP + ROW * len(suites) + LINE * len(lines) + 56
    pill = 60 + 15 * len(outcome)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" style="display:block" '
        f'font-family="Inter, Segoe UI, Roboto, Helvetica Neue, Liberation Sans, Arial, sans-serif">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/><rect width="12" height="{height}" fill="{tone}"/>',
        _text(56, 62, "The Gauntlet", 22, "#667080"),
        _text(56, 112, textwrap.shorten(name, 54, placeholder="…"), 40, "#1d2129", 700),
        f'<rect x="{WIDTH - 56 - pill}" y="56" width="{pill}" height="60" rx="30" fill="{soft}"/>',
        _text(WIDTH - 56 - pill / 2, 95, outcome, 25, tone, 700, "middle"),
    ]
    for index, verdict in enumerate(suites):
        parts.append(_row(verdict, TOP + ROW * index))
    for index, line in enumerate(lines):
        parts.append(_text(56, TOP + ROW * len(suites) + 30 + LINE * index, line, 21, "#3c4350"))
    return "".join([*parts, "</svg>"]), height


def _row(verdict: SuiteVerdict, y: float) -> str:
    tone, _ = TONES[verdict.outcome]
    if not verdict.suite.pass_rate:
        said = [reason.partition(": ")[2] for reason in verdict.reasons[:2]]
        return _text(56, y + 30, verdict.suite.title, 26, "#1d2129", 600) + "".join(
            _text(330, y + 28 + 30 * i, textwrap.shorten(line, 84, placeholder="…"), 20, "#3c4350")
            for i, line in enumerate(said)
        )
    rate, left, width = verdict.rate, 330, 560
    low, high = rate.interval
    said = f"{rate.passed} of {rate.graded}" + (f", {rate.open} open" if rate.open else "")
    parts = [
        _text(56, y + 30, verdict.suite.title, 26, "#1d2129", 600),
        _text(56, y + 56, verdict.suite.importance, 18, "#667080"),
        f'<rect x="{left}" y="{y + 18}" width="{width}" height="16" rx="8" fill="#ebe9e2"/>',
    ]
    if rate.graded:
        at = left + width * rate.passed / rate.graded
        parts += [
            f'<rect x="{left}" y="{y + 18}" width="{max(16, at - left)}" height="16" rx="8" fill="{tone}" '
            f'opacity=".28"/>',
            f'<rect x="{left + width * low}" y="{y + 23}" width="{max(4, width * (high - low))}" height="6" rx="3" '
            f'fill="{tone}"/>',
            f'<circle cx="{at}" cy="{y + 26}" r="9" fill="#fff" stroke="{tone}" stroke-width="4"/>',
        ]
    if rate.wanted:
        x = left + width * rate.wanted
        parts.append(
            f'<line x1="{x}" x2="{x}" y1="{y + 6}" y2="{y + 46}" stroke="#1d2129" stroke-width="3" '
            f'stroke-dasharray="6 4"/>'
        )
    parts += [
        _text(left + width + 30, y + 34, said, 24, "#1d2129", 600),
        _text(left + width + 30, y + 60, verdict.outcome, 17, tone, 700),
    ]
    return "".join(parts)


def _text(x: float, y: float, text: str, size: int, fill: str, weight: int = 400, anchor: str = "start") -> str:
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" fill="{fill}" font-weight="{weight}" text-anchor="{anchor}">'
        f"{escape(text)}</text>"
    )
