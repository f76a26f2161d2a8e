"""One JSON request to the workspace, on a connection of its own: nothing stays open, no proxy is asked."""

import http.client
import json
from urllib.parse import urlencode, urlsplit


class Wire:
    """Requests to the workspace at `url`. Raises OSError when it is not there, ValueError when it says no in HTTP."""

    def __init__(self, url: str, timeout: float = 30.0):
        self.host = urlsplit(url).netloc
        self.timeout = timeout

    def get(self, path: str, **params: object) -> dict:
        return self._send("GET", f"{path}?{urlencode(params)}" if params else path, None)

    def post(self, path: str, body: dict) -> dict:
        return self._send("POST", path, json.dumps(body).encode())

    def _send(self, verb: str, path: str, body: bytes | None) -> dict:
        connection = http.client.HTTPConnection(self.host, timeout=self.timeout)
        try:
            headers = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(verb, path, body=body, headers=headers)
            response = connection.getresponse()
            said = response.read().decode()
        finally:
            connection.close()
        if response.status != 200:
            raise ValueError(f"{verb} {path}: HTTP {response.status}: {said}")
        return json.loads(said)
