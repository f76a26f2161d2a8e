"""Traces for OpenTelemetry: one span a call, in the caller's trace, and the backend's spans below it. Off by default.

Nothing of OpenTelemetry is imported while it is off; spans are sent by a thread of its own, and dropped when nobody
takes them. A span holds what the ledger holds: never a prompt, an answer or a key.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gateway.call import Call
from lifecycle.errors import BadSettings
from lifecycle.sections.gateway import Tracing

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

OPERATIONS = {"chat": "chat", "text": "text_completion", "embeddings": "embeddings"}
TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def tracer(settings: Tracing, version: str = "") -> "Tracer | None":
    """None: it is off. BadSettings when OpenTelemetry is not installed."""
    if not settings.endpoint:
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError:
        sentence = "gateway.tracing.endpoint is set, but OpenTelemetry is not installed."
        raise BadSettings(sentence, "Install dayzero[tracing], or take the endpoint out.") from None
    address = settings.endpoint.rstrip("/") + "/v1/traces"
    return Tracer(settings, OTLPSpanExporter(endpoint=address, timeout=5))


class Tracer:
    """Implements admission.Check. `close` sends what is left."""

    def __init__(self, settings: Tracing, exporter: "SpanExporter"):
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
        from opentelemetry.trace import SpanKind, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(settings.share)),
            resource=Resource({"service.name": settings.service}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1000))
        self._tracer = self._provider.get_tracer("dayzero.gateway")
        self._propagator = TraceContextTextMapPropagator()
        self._kind, self._error = SpanKind.SERVER, StatusCode.ERROR
        self._spans: dict[str, Any] = {}

    def before(self, call: Call) -> None:
        """Begin the call's span below the caller's; what the backend hears of is ours."""
        carrier = {"traceparent": call.trace} if TRACEPARENT.fullmatch(call.trace) else {}
        parent = self._propagator.extract(carrier)
        operation = OPERATIONS.get(call.kind, call.kind)
        span = self._tracer.start_span(f"{operation} {call.asked[:100]}", context=parent, kind=self._kind)
        self._spans[call.id] = span
        context = span.get_span_context()
        call.trace = f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"

    def after(self, call: Call) -> None:
        span = self._spans.pop(call.id)
        if span.is_recording():
            span.set_attributes(attributes(call))
            if call.status >= 500:
                span.set_status(self._error)
        span.end()

    def close(self) -> None:
        """Send what waits; a few seconds at most. Blocks."""
        self._provider.shutdown()


def attributes(call: Call) -> Mapping[str, str | int | float | bool]:
    """In the words of OpenTelemetry's conventions for generative AI; what is ours begins with dayzero."""
    found = {
        "gen_ai.operation.name": OPERATIONS.get(call.kind, call.kind),
        "gen_ai.request.model": call.asked[:200],
        "gen_ai.response.model": call.model,
        "gen_ai.provider.name": call.provider,
        "gen_ai.usage.input_tokens": call.prompt_tokens,
        "gen_ai.usage.output_tokens": call.completion_tokens,
        "http.response.status_code": call.status,
        "dayzero.request.id": call.id,
        "dayzero.key": call.caller.prefix,
        "dayzero.team": call.caller.team,
        "dayzero.deployment": call.deployment_id,
        "dayzero.endpoint": call.endpoint_id,
        "dayzero.stream": call.stream,
        "dayzero.ttft_s": call.ttft_s,
        "dayzero.cost": call.cost,
    }
    return {name: value for name, value in found.items() if value is not None and value != ""}
