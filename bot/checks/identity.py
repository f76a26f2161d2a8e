"""The identity providers whose tokens the gateway takes: do they answer, and with keys that can verify?"""

import asyncio

from bot.checks.result import Found
from gateway.auth.jwks import Jwks
from lifecycle.settings import Settings


def identity(settings: Settings) -> Found:
    if not settings.gateway.oidc:
        return Found(None, "[gateway.oidc] names nobody: only keys are taken.")
    said = []
    for name, provider in settings.gateway.oidc.items():
        jwks = Jwks(provider, hear=lambda *_, **__: None)
        asyncio.run(jwks.fetch())
        if jwks.problem:
            advice = f"Is gateway.oidc.{name}.issuer right? Else set its jwks_url."
            return Found(False, jwks.problem, advice)
        if not jwks.keys:
            return Found(False, f"{provider.issuer} publishes no key for signatures.", "Ask who runs it.")
        if not provider.grants:
            advice = f"Say in [gateway.oidc.{name}.grants] what whom is granted."
            return Found(False, f"Tokens of {provider.issuer} would be refused: nothing is granted.", advice)
        said.append(f"{provider.issuer} ({len(jwks.keys)} keys)")
    return Found(True, f"Tokens are taken of {', '.join(said)}.")
