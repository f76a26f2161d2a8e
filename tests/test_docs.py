"""The documentation is true: generated pages are fresh, examples parse, commands exist, links lead somewhere."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml

from bot.arguments import WrongWords, parser
from bot.commands import HELP
from bot.slack import receiver
from bot.slack.manifest import SCOPES, as_yaml, manifest
from docs import generate
from lifecycle.deployments import DEPLOYMENT
from lifecycle.errors import Refused
from lifecycle.images import IMAGE
from lifecycle.releases import RELEASE
from lifecycle.servers import SERVER
from lifecycle.settings import load
from lifecycle.swaps import SWAP
from lifecycle.victims import VICTIM

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", generate.PAGES)
def test_a_generated_page_is_what_the_code_says(page: str) -> None:
    """`python -m docs.generate` was run after the last change."""
    assert (ROOT / "docs" / page).read_text() == generate.PAGES[page](), "run python -m docs.generate"


@pytest.mark.parametrize("machine", [RELEASE, DEPLOYMENT, SERVER, VICTIM, SWAP, IMAGE], ids=lambda m: m.name)
def test_a_diagram_has_every_arrow(machine) -> None:
    """Each state and each event of the table is drawn, no other."""
    drawn = generate.diagram(machine)
    arrows = re.findall(r"^    (\w+) --> (\w+): (.+)$", drawn, re.MULTILINE)
    found = {(old, event): new for old, new, events in arrows for event in events.split(", ")}
    wanted = {(old, event): new for old, row in machine.table.items() for event, new in row.items()}
    assert found == {key: "BACK" if new not in machine.table else new for key, new in wanted.items()}
    assert f"[*] --> {machine.start}" in drawn


def test_the_example_settings_load() -> None:
    """Every key of it is one that exists; the ladder names its runtimes."""
    settings = load(ROOT / "docs" / "dayzero.example.toml", {})
    assert settings.cluster.gpus["h100"].per_node == 8 and set(settings.serving.ladder) == set(settings.runtimes)


def test_every_setting_is_explained() -> None:
    """Sections and keys of the example are on the page of settings."""
    page = (ROOT / "docs" / "settings.md").read_text()
    data = tomllib.loads((ROOT / "docs" / "dayzero.example.toml").read_text())
    for section, keys in data.items():
        assert f"`[{section}" in page
        for key, value in keys.items():
            assert isinstance(value, dict) or f"| `{key}` |" in page, key


def blocks(*languages: str) -> list:
    return [
        pytest.param(found[2], id=f"{name(page)}:{page.read_text()[: found.start()].count(chr(10)) + 1}")
        for page in PAGES
        for found in FENCE.finditer(page.read_text())
        if found[1] in languages
    ]


@pytest.mark.parametrize("text", blocks("toml") or [pytest.param("", id="none")])
def test_every_toml_example_parses(text: str) -> None:
    """Whatever is shown can be copied."""
    tomllib.loads(text)


def in_blocks(page: Path) -> list[str]:
    lines = [
        line.strip().removeprefix("$ ") for found in FENCE.finditer(page.read_text()) for line in found[2].splitlines()
    ]
    return [line for line in lines if line.startswith("dayzero ")]


def in_text(page: Path) -> list[str]:
    return re.findall(r"`(dayzero [^`]+)`", FENCE.sub("", page.read_text()))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_shown_is_one_that_exists(page: Path) -> None:
    """The real parser takes it; in running text its arguments may be left out, or stand for anything as …."""
    for line in in_blocks(page):
        assert parser().parse_args(shlex.split(line, comments=True)[1:]).verb, line
    for line in in_text(page):
        try:
            assert parser().parse_args(shlex.split(line.replace(" …", ""))[1:]).verb, line
        except WrongWords as wrong:
            assert "required" in str(wrong), line


def test_the_pages_show_commands_at_all() -> None:
    """Else the test before would prove nothing."""
    verbs = {line.split()[1] for page in PAGES for line in in_blocks(page) + in_text(page)}
    assert {"status", "check", "plan", "deploy", "promote", "retry", "gauntlet", "keys", "history", "tick"} <= verbs


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    """In text and in images."""
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text())):
        if "://" not in target and not target.startswith(("#", "mailto:")):
            assert (page.parent / target.partition("#")[0]).exists(), target


def test_the_slack_manifest_is_what_slack_takes() -> None:
    """Valid YAML; each command within Slack's lengths; Socket Mode, interactivity and a bot user are on."""
    data = yaml.safe_load((ROOT / "docs" / "slack-manifest.yaml").read_text())
    shown = data["features"]["slash_commands"]
    assert [c["command"] for c in shown] == list(HELP)
    assert all(0 < len(c["description"]) <= 2000 and len(c["usage_hint"]) <= 1000 for c in shown)
    assert len(data["display_information"]["description"]) <= 140
    assert data["settings"]["socket_mode_enabled"] and data["settings"]["interactivity"]["is_enabled"]
    assert set(data["oauth_config"]["scopes"]["bot"]) >= {"chat:write", "commands"}


def test_the_manifest_for_http_differs_in_its_addresses_only() -> None:
    """Commands, clicks and events go to where the bot listens, without Socket Mode; plain HTTP is refused."""
    by_socket, by_http = manifest(), yaml.safe_load(as_yaml(manifest("https://dayzero.example.org/")))
    where = "https://dayzero.example.org" + receiver.PATH
    settings = by_http["settings"]
    assert settings["event_subscriptions"].pop("request_url") == settings["interactivity"].pop("request_url") == where
    assert {command.pop("url") for command in by_http["features"]["slash_commands"]} == {where}
    assert settings.pop("socket_mode_enabled") is False and by_socket["settings"].pop("socket_mode_enabled") is True
    assert by_http == by_socket
    assert manifest(where) == manifest("https://dayzero.example.org")
    for wrong in ("http://dayzero.example.org", "dayzero.example.org", "https://", "https://a.example/?x=1"):
        with pytest.raises(Refused):
            manifest(wrong)


def test_each_slack_method_that_is_called_has_its_scopes() -> None:
    """Found in the code of the bot; a new one must be named with what it needs."""
    called = set()
    for path in (ROOT / "bot").rglob("*.py"):
        text = path.read_text()
        called |= set(re.findall(r'\.call\(\s*"([\w.]+)"', text))
        called |= {"files_upload_v2"} & set(re.findall(r"client\.(\w+)\(", text))
    assert len(called) >= 6
    assert called <= set(SCOPES)


def test_each_dependency_has_its_reason() -> None:
    """docs/decisions/dependencies.md and requirements/main.in name the same."""
    page = (ROOT / "docs" / "decisions" / "dependencies.md").read_text()
    lines = (ROOT / "requirements" / "main.in").read_text().splitlines()
    wanted = {re.split(r"[=<>\[ ]", line)[0] for line in lines if line and not line.startswith("#")}
    assert set(re.findall(r"^\| (\w[\w-]*) \|", page, re.MULTILINE)) - {"dependency"} == wanted
