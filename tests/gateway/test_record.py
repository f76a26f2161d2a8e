"""The log of requests: off for everybody who is not named, redacted before it is written, of a size that has an end."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.auth.key import Key
from gateway.call import Call
from gateway.record.recorder import Recorder, append
from gateway.record.redact import GONE, LONGEST, Redactor
from gateway.record.said import said
from lifecycle.errors import BadSettings
from lifecycle.sections.gateway import RequestLog
from lifecycle.settings import load
from tests.gateway.backend import Backend
from tests.gateway.world import Gateway, Ledger, new_key

SECRETS = [
    "dz-1a2b3c4d-abcdefghijklmnopqrstuvwxyz",
    "sk-proj-abcdefghijklmnop1234",
    "hf_abcdefghijklmnopqrstuvwx",
    "AKIAABCDEFGHIJKLMNOP1234",
    "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl",
    "Bearer abcdefgh.ijk-lmn",
    "Jane.Doe+x@mail.example.org",
    "-----BEGIN RSA PRIVATE KEY-----\nabc\ndef\n-----END RSA PRIVATE KEY-----",
]


@pytest.mark.parametrize("secret", SECRETS)
@given(before=st.sampled_from(["", "see ", '{"a": "', "key="]), after=st.sampled_from(["", " and more", '"}', "\n"]))
def test_secrets_go(secret: str, before: str, after: str) -> None:
    """Wherever they stand; what is around them stays."""
    found = Redactor().text(before + secret + after)
    assert secret not in found and GONE in found and found.startswith(before.rstrip("key="))


def test_what_is_no_secret_stays() -> None:
    """Ordinary sentences, code and numbers; the operator's patterns go too; a name of a field is looked at."""
    plain = 'def f(x): return x @ y  # risk-free, 3.14e-5, a-b-c, "key": 12, eyJ'
    assert Redactor().text(plain) == plain
    found = Redactor([r"\b\d{3}-\d{4}\b"]).value({"call 555-1234": ["555-1234", 7, None, {"a": "ring 555-1234 now"}]})
    assert found == {f"call {GONE}": [GONE, 7, None, {"a": f"ring {GONE} now"}]}


def test_what_is_long_is_cut_after_it_was_redacted() -> None:
    """A secret on the edge is gone as a whole; pictures are said to be there and how large."""
    text = "x" * (LONGEST - 8) + " " + SECRETS[0] + "y" * 50
    found = Redactor().text(text)
    assert "dz-1a2b" not in found and "letters more" in found
    assert Redactor().text("data:image/png;base64," + "A" * 500) == "[522 letters of data]"


def test_what_was_said_is_put_together() -> None:
    """Tokens of a stream in each dialect, a plain answer, one that was cut, and sound."""
    events = (b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % piece for piece in (b"jane@ma", b"il.org"))
    chat = b"".join(events)
    assert said(chat + b"data: [DONE]\n\n") == "jane@mail.org"
    messages = b'event: content_block_delta\r\ndata: {"delta":{"type":"text_delta","text":"Hi"}}\r\n\r\n'
    assert said(messages) == "Hi"
    responses = (
        b'data: {"type":"response.output_text.delta","delta":"Hi"}\n\n'
        b'data: {"type":"response.output_text.done","text":"Hi"}\n\n'
        b'data: {"type":"response.completed","response":{"output":[{"text":"Hi"}]}}\n\n'
    )
    assert said(responses) == "Hi"
    assert said(b'{"a": 1}') == {"a": 1} and said(b'{"a": ') == '{"a": '
    assert said(chat[:-20]) == "jane@ma" and said(b"RIFF\x00\x01") is None


def test_the_files_have_an_end(tmp_path: Path) -> None:
    """Two files, together never more than what is allowed, the newest line is there, nobody else may read them."""
    for n in range(200):
        append(tmp_path / "requests", b"%d %s\n" % (n, b"x" * 90), 4000)
        assert sum(path.stat().st_size for path in (tmp_path / "requests").glob("*.jsonl")) <= 4000
    newest = tmp_path / "requests" / "requests.jsonl"
    assert newest.read_bytes().splitlines()[-1].startswith(b"199 ")
    assert newest.stat().st_mode & 0o077 == 0 and newest.parent.stat().st_mode & 0o077 == 0


def key(name: str, team: str = "") -> Key:
    return Key(1, "dz-0000000a", name, team, frozenset({"stable"}), 0.0, "us", None, None)


def test_who_is_named(tmp_path: Path) -> None:
    """By name, prefix or team, with *; nobody else; a request that is too large is not looked at."""
    recorder = Recorder(RequestLog(keys=("alice*", "dz-ffff*"), teams=("red",)), tmp_path / "requests")
    assert recorder.wants(key("alice-2")) and recorder.wants(key("bob", "red"))
    assert not recorder.wants(key("bob")) and not recorder.wants(key("bob", "redder"))
    call = Call("chat", key("alice"), "m", {"messages": "x"}, False, False, size=2**21, at=time.time())
    recorder.before(call)
    recorder.after(call)
    recorder.close()
    line = json.loads((tmp_path / "requests" / "requests.jsonl").read_text())
    assert line["asked"] == "[too large to be kept]" and "answered" not in line


def test_patterns_must_be_patterns(tmp_path: Path) -> None:
    """A wrong one is refused when the settings are read."""
    (tmp_path / "dayzero.toml").write_text('[gateway.request_log]\nredact = ["(("]\n')
    with pytest.raises(BadSettings, match="no regular expression"):
        load(tmp_path / "dayzero.toml", {})


def test_a_running_gateway_logs_those_who_are_named(tmp_path: Path) -> None:
    """Question and answer, streamed or not, redacted; of the other key nothing; answers are what they were."""
    (tmp_path / "dayzero.toml").write_text(
        '[site]\nstate = "state"\nshared = "shared"\n[gateway]\nport = 0\n[gateway.request_log]\nkeys = ["alice"]\n'
        'redact = ["Moravia"]\n'
    )
    settings = load(tmp_path / "dayzero.toml", {})
    ledger = Ledger(settings.ledger_path)
    backend = Backend("/w", words=["Write", " to", " jane@", "mail", ".org in Moravia"]).start()
    ledger.deploy("one", "org/one")
    ledger.serve("one", backend.url, "/w")
    ledger.close()
    gateway = Gateway(tmp_path)
    try:
        for name in ("alice", "bob"):
            client = gateway.client(new_key(settings, "stable", name=name))
            question = f"I am {name}, sk-abcdefghijklmnopqrst"
            ask = {"model": "org/one", "messages": [{"role": "user", "content": question}]}
            whole = client.chat.completions.create(**ask)
            streamed = client.chat.completions.create(**ask, stream=True)
            said_to_us = "".join(chunk.choices[0].delta.content or "" for chunk in streamed if chunk.choices)
            assert whole.choices[0].message.content == said_to_us == "Write to jane@mail.org in Moravia"
    finally:
        assert gateway.stop() == 0
        backend.stop()
    text = (tmp_path / "state" / "requests" / "requests.jsonl").read_text()
    first, second = map(json.loads, text.splitlines())
    assert first["asked"]["messages"][0]["content"] == f"I am alice, {GONE}"
    assert first["answered"]["choices"][0]["message"]["content"] == f"Write to {GONE} in {GONE}" == second["answered"]
    assert "bob" not in text and first["status"] == 200 and first["model"] == "org/one"
