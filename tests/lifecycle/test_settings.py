"""Settings: one file and the environment, parsed once; what is wrong is named with what was expected."""

from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from lifecycle.errors import BadSettings
from lifecycle.settings import SECRETS, Settings, load


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "dayzero.toml"
        path.write_text(text)
        return path

    return write


def test_an_empty_file_is_all_defaults(write) -> None:
    """Every key has a default, but those inside a named table."""
    settings = load(write(""), {})
    assert settings.cluster.kind == "slurm" and settings.tick_s == 2
    assert settings.hub.token is None


def test_the_file_is_the_argument_else_the_environment_else_here(write, tmp_path: Path, monkeypatch) -> None:
    """In this order; a file that is not there is said to be missing, with what to do."""
    path = write('[site]\nname = "given"')
    other = tmp_path / "other.toml"
    other.write_text('[site]\nname = "environment"')
    assert load(path, {"DAYZERO_CONFIG": str(other)}).site.name == "given"
    assert load(None, {"DAYZERO_CONFIG": str(other)}).site.name == "environment"
    monkeypatch.chdir(tmp_path)
    assert load(None, {}).site.name == "given"
    with pytest.raises(BadSettings, match="no settings file") as missing:
        load(tmp_path / "nothing.toml", {})
    assert "dayzero.example.toml" in missing.value.next_step


def test_paths_are_relative_to_the_file(write, tmp_path: Path) -> None:
    """Wherever the process was started; absolute ones stay; both databases lie in state."""
    settings = load(write('[site]\nstate = "s"\nshared = "/far"\n[gateway]\nproviders_file = "p.toml"'), {})
    assert settings.site.state == tmp_path / "s" and settings.site.shared == Path("/far")
    assert settings.gateway.providers_file == tmp_path / "p.toml"
    assert settings.ledger_path == tmp_path / "s" / "ledger.db"
    assert settings.gateway_path == tmp_path / "s" / "gateway.db"


@pytest.mark.parametrize(("variable", "where"), SECRETS.items())
def test_a_secret_comes_from_the_environment_and_is_never_shown(write, variable, where) -> None:
    """In the file it is refused without its value; in a repr it is stars; an empty variable is none."""
    section, key = where
    value = getattr(getattr(load(write(""), {variable: "s3cret"}), section), key)
    assert value.get_secret_value() == "s3cret"
    assert "s3cret" not in repr(load(write(""), {variable: "s3cret"}))
    assert getattr(getattr(load(write(""), {variable: ""}), section), key) is None
    with pytest.raises(BadSettings) as refused:
        load(write(f'[{section}]\n{key} = "s3cret"'), {})
    assert variable in refused.value.next_step and "s3cret" not in refused.value.advice


WRONG = [
    ("[cluster]\npartitoin = 'x'", "cluster.partitoin", "did you mean partition?"),
    ("[clutser]", "clutser", "did you mean cluster?"),
    ("[cluster.gpus.h100]\nmemory = 1\nper_nod = 8", "cluster.gpus.h100.per_nod", "did you mean per_node?"),
    ("[cluster.gpus.h100]", "cluster.gpus.h100.memory", "is missing"),
    ('[cluster]\nextra = ["constraint=x"]', "cluster.extra", "not one long sbatch option"),
    ('[cluster]\nextra = ["--constraint=x\\n#SBATCH --uid=0"]', "cluster.extra", "not one long sbatch option"),
    ('[cluster]\nextra = ["--job-nam=mine"]', "cluster.extra", "written by dayzero itself"),
    ('[cluster]\nlight_extra = ["--array=1"]', "cluster.light_extra", "written by dayzero itself"),
    ("[cluster.gpus.h100]\nmemory = -1", "cluster.gpus.h100.memory", "greater than 0"),
    ("[runtimes.vllm]\nengine = 'sglang'\ncommand = []", "runtimes.vllm.engine", "'vllm' or 'transformers'"),
    ("[cluster]\nkind = 'slrum'", "cluster.kind is 'slrum'", "'slurm' or 'local'"),
    ("[gateway]\nport = 99999", "gateway.port is 99999", "less than or equal to 65535"),
    ("[watch]\nevery_s = 'often'", "watch.every_s", "number"),
    ("[serving]\nladder = ['x']\n[runtimes.vllm]\nengine = 'vllm'\ncommand = ['v']", "'x'", "no [runtimes.x]"),
    ("a = b", "can't be read as TOML", "line 1"),
]


@pytest.mark.parametrize(("text", "key", "expected"), WRONG)
def test_what_is_wrong_is_named(write, text, key, expected) -> None:
    """The file, the key, what was found or expected; all in one sentence."""
    path = write(text)
    with pytest.raises(BadSettings) as refused:
        load(path, {})
    said = str(refused.value)
    assert str(path) in said and key in said and expected in said and "\n" not in said
    assert refused.value.next_step


def test_every_fault_is_named_at_once(write) -> None:
    """Mending a file is one round, not one a key."""
    with pytest.raises(BadSettings) as refused:
        load(write("tick_s = 0\n[cluster]\nkindd = 1\n[gateway]\nport = 'x'"), {})
    for key in ("tick_s", "cluster.kindd", "gateway.port"):
        assert key in str(refused.value)


def test_what_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    """A folder, and bytes that are no text."""
    with pytest.raises(BadSettings, match="can't be read"):
        load(tmp_path, {})
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BadSettings, match="can't be read"):
        load(tmp_path / "x.toml", {})


def test_settings_are_frozen_all_the_way_down() -> None:
    """Nobody changes them on the way: each section is frozen and refuses what it doesn't know."""
    settings = Settings()
    with pytest.raises(ValidationError):
        settings.tick_s = 3
    for name in Settings.model_fields:
        section = getattr(settings, name)
        if isinstance(section, BaseModel):
            assert section.model_config["frozen"] and section.model_config["extra"] == "forbid", name


def test_the_gateways_address() -> None:
    """The public one, else where it listens."""
    assert Settings.model_validate({"gateway": {"port": 9}}).gateway.url == "http://127.0.0.1:9"
    assert Settings.model_validate({"gateway": {"public_url": "https://m"}}).gateway.url == "https://m"
