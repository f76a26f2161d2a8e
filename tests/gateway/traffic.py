"""Calls of one model without a pause, while something else goes on."""

import threading

import httpx

from tests.gateway.world import Gateway

ASK = [{"role": "user", "content": "Where is Brno?"}]


class Traffic:
    """Each call on a new connection, so that any worker may get it; `failed` says why for each that gave no answer."""

    def __init__(self, gateway: Gateway, key: str, model: str, *, stream: bool = False):
        self._url = f"{gateway.url}/v1/chat/completions"
        self._headers = {"authorization": f"Bearer {key}"}
        self._body = {"model": model, "messages": ASK, "stream": stream}
        self._end = "[DONE]" if stream else '"usage"'
        self._stop = threading.Event()
        self.answered = 0
        self.failed: list[str] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                answer = httpx.post(self._url, json=self._body, headers=self._headers, timeout=60)
                if answer.status_code != 200 or self._end not in answer.text:
                    self.failed.append(answer.text)
                self.answered += 1
            except httpx.HTTPError as error:
                self.failed.append(repr(error))

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(60)
