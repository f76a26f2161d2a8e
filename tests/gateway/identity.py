"""An identity provider: signs tokens, and answers for its public keys on a real port."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

AUDIENCE = "dayzero"


class Identity:
    """`keys`: key id → private key; what is published is `published`, as long as it does not `refuse`."""

    def __init__(self) -> None:
        self.keys: dict[str, object] = {}
        self.published: list[dict] = []
        self.refuse = False
        self.asked: list[str] = []
        identity = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                identity.asked.append(self.path)
                found = identity._answer(self.path)
                body = json.dumps(found or {}).encode()
                self.send_response(200 if found is not None else 503)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.issuer = f"http://127.0.0.1:{self._server.server_address[1]}/realm"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def _answer(self, path: str) -> dict | None:
        if self.refuse:
            return None
        if path == "/realm/.well-known/openid-configuration":
            return {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys"}
        return {"keys": self.published} if path == "/realm/keys" else None

    def add(self, kid: str, curve: bool = False) -> None:
        """A new signing key, published beside the old ones."""
        if curve:
            self.keys[kid] = ec.generate_private_key(ec.SECP256R1())
            public = json.loads(ECAlgorithm.to_jwk(self.keys[kid].public_key()))
        else:
            self.keys[kid] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            public = json.loads(RSAAlgorithm.to_jwk(self.keys[kid].public_key()))
        self.published.append({**public, "kid": kid, "use": "sig"})

    def token(self, kid: str = "one", sub: str = "u-1", algorithm: str = "RS256", **claims: object) -> str:
        """Signed by the key of that id. A claim of None is left out."""
        now = time.time()
        whole = {
            "iss": self.issuer, "aud": AUDIENCE, "sub": sub, "iat": now, "exp": now + 300, "groups": ["ml-team"],
            "email": f"{sub}@example.org", **claims,
        }  # fmt: skip
        whole = {name: value for name, value in whole.items() if value is not None}
        return jwt.encode(whole, self.keys[kid], algorithm=algorithm, headers={"kid": kid})

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)
