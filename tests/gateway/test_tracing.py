"""Traces: in the caller's trace, with the backend below, sent to a receiver that speaks the real protocol."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from lifecycle.errors import BadSettings
from lifecycle.settings import load
from tests.gateway.backend import Backend
from tests.gateway.world import Gateway, Ledger, new_key
from tests.waiting import until

ASK = [{"role": "user", "content": "a secret question"}]
THEIRS = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Receiver:
    """What a collector is at this end: it takes OTLP over HTTP and decodes it with OpenTelemetry's own messages."""

    def __init__(self) -> None:
        spans: list = []
        raw: list[bytes] = []
        self.spans, self.raw = spans, raw

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                assert self.path == "/v1/traces" and self.headers["content-type"] == "application/x-protobuf"
                raw.append(body)
                message = ExportTraceServiceRequest.FromString(body)
                spans.extend(s for r in message.resource_spans for scope in r.scope_spans for s in scope.spans)
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join(10)
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def traced(folder: Path, url: str, share: float) -> tuple:
    text = f'[site]\nstate = "state"\nshared = "shared"\n[gateway]\nport = 0\n[gateway.tracing]\nendpoint = "{url}"\n'
    (folder / "dayzero.toml").write_text(f"{text}share = {share}\n")
    settings = load(folder / "dayzero.toml", {})
    ledger = Ledger(settings.ledger_path)
    backend = Backend("/w").start()
    ledger.deploy("one", "org/one")
    ledger.serve("one", backend.url, "/w")
    ledger.close()
    return settings, backend, Gateway(folder)


def ask(gateway: Gateway, key: str, trace: str = "", model: str = "org/one") -> int:
    headers = {"authorization": f"Bearer {key}", **({"traceparent": trace} if trace else {})}
    body = {"model": model, "messages": ASK}
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers, timeout=30).status_code


def value(attribute: object) -> object:
    return getattr(attribute.value, attribute.value.WhichOneof("value"))


def test_a_call_is_a_span_in_the_callers_trace(tmp_path: Path, receiver: Receiver) -> None:
    """Its parent is the caller's span, the backend gets ours as its parent; tokens and status are on it, no content,
    no key; a refused call is a span as well; garbage for a traceparent begins a new trace."""
    settings, backend, gateway = traced(tmp_path, receiver.url, 1)
    try:
        key = new_key(settings, "stable")
        assert ask(gateway, key, THEIRS) == 200
        assert ask(gateway, key, "00-garbage") == 200
        assert ask(gateway, key, THEIRS, "org/none") == 404
        until(lambda: len(receiver.spans) == 3, 30, "the spans")
    finally:
        gateway.stop()
        backend.stop()
    first, second, third = receiver.spans
    assert first.trace_id.hex() == THEIRS[3:35] and first.parent_span_id.hex() == THEIRS[36:52]
    heard = [{k.lower(): v for k, v in one.items()}["traceparent"] for one in backend.headers]
    assert heard[0] == f"00-{THEIRS[3:35]}-{first.span_id.hex()}-01"
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[13]", heard[1]) and heard[1][3:35] == second.trace_id.hex()
    assert second.parent_span_id == b""
    found = {attribute.key: value(attribute) for attribute in first.attributes}
    assert (found["gen_ai.usage.input_tokens"], found["gen_ai.usage.output_tokens"]) == (7, 5)
    assert (found["gen_ai.request.model"], found["dayzero.deployment"]) == ("org/one", "one")
    assert {attribute.key: value(attribute) for attribute in third.attributes}["http.response.status_code"] == 404
    assert first.end_time_unix_nano > first.start_time_unix_nano
    sent = b"".join(receiver.raw)
    assert b"secret question" not in sent and key.encode() not in sent and key[:11].encode() in sent


def test_a_share_and_the_callers_own_decision(tmp_path: Path, receiver: Receiver) -> None:
    """Nothing of callers that don't trace at share 0; a caller who traces is in it. At the end what waits is sent."""
    settings, backend, gateway = traced(tmp_path, receiver.url, 0)
    try:
        key = new_key(settings, "stable")
        assert ask(gateway, key) == 200 and ask(gateway, key, THEIRS[:-1] + "0") == 200
        assert ask(gateway, key, THEIRS) == 200
    finally:
        assert gateway.stop() == 0
        backend.stop()
    assert [span.trace_id.hex() for span in receiver.spans] == [THEIRS[3:35]]


def test_nobody_who_takes_them_costs_nobody_an_answer(tmp_path: Path) -> None:
    """A collector that is away: calls are answered, and the end is no later than usual."""
    settings, backend, gateway = traced(tmp_path, "http://127.0.0.1:9", 1)
    try:
        key = new_key(settings, "stable")
        assert [ask(gateway, key) for _ in range(5)] == [200] * 5
    finally:
        assert gateway.stop() == 0
        backend.stop()


def test_while_it_is_off_nothing_is_imported() -> None:
    """Neither OpenTelemetry nor psycopg nor jinja2 with the gateway's modules; without it an endpoint is refused."""
    code = (
        "import sys, gateway.worker; from gateway.tracing import tracer\n"
        "from lifecycle.sections.gateway import Tracing\n"
        "assert tracer(Tracing()) is None\n"
        "assert not {'opentelemetry', 'psycopg', 'litellm', 'jinja2'} & set(sys.modules), sys.modules\n"
        "sys.modules['opentelemetry.exporter.otlp.proto.http.trace_exporter'] = None\n"
        "from lifecycle.errors import BadSettings\n"
        "try: tracer(Tracing(endpoint='http://x'))\n"
        "except BadSettings as error: assert 'dayzero[tracing]' in error.advice\n"
        "else: raise SystemExit('not refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_the_endpoint_is_an_address(tmp_path: Path) -> None:
    """Another scheme is refused with the key's name."""
    (tmp_path / "dayzero.toml").write_text('[gateway.tracing]\nendpoint = "collector:4318"\n')
    with pytest.raises(BadSettings, match="endpoint"):
        load(tmp_path / "dayzero.toml", {})
