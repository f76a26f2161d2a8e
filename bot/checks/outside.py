"""The world outside: Hub, GitHub, Slack, mail. Each is asked the cheapest question whose answer proves something."""

import smtplib
import ssl

import httpx
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from bot.checks.result import Found
from bot.postman import connection
from lifecycle.sections.telling import Slack
from lifecycle.settings import Settings

TIMEOUT_S = 10.0
WAYS_OUT = "Is there a way out from this host? A proxy is set by HTTPS_PROXY."


def _get(url: str, token: str | None, what: str) -> httpx.Response | Found:
    """The answer, or what it means that there is none."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        return httpx.get(url, headers=headers, timeout=TIMEOUT_S, follow_redirects=True)
    except httpx.HTTPError as error:
        return Found(False, f"{what} at {url} gives no answer ({type(error).__name__}).", WAYS_OUT)


def hub(settings: Settings) -> Found:
    endpoint = settings.hub.endpoint.rstrip("/")
    answer = _get(f"{endpoint}/api/models?limit=1", None, "The Hub")
    if isinstance(answer, Found):
        return answer
    if answer.status_code != 200:
        advice = "If it is 429, wait; else mend hub.endpoint."
        return Found(False, f"The Hub at {endpoint} answered {answer.status_code}.", advice)
    if settings.hub.token is None:
        return Found(True, f"{endpoint} answers. No HF_TOKEN: public models only, and fewer requests.")
    known = _get(f"{endpoint}/api/whoami-v2", settings.hub.token.get_secret_value(), "The Hub")
    if isinstance(known, Found):
        return known
    if known.status_code != 200:
        advice = "Set a valid HF_TOKEN (read is enough), or none."
        return Found(False, f"The Hub does not accept HF_TOKEN ({known.status_code}).", advice)
    return Found(True, f"{endpoint} answers and knows us as {known.json().get('name')}.")


def github(settings: Settings) -> Found:
    if not settings.github.repositories:
        return Found(None, "No GitHub repository is watched.")
    endpoint = settings.github.endpoint.rstrip("/")
    token = settings.github.token.get_secret_value() if settings.github.token else None
    for name in settings.github.repositories:
        answer = _get(f"{endpoint}/repos/{name}/releases?per_page=1", token, "GitHub")
        if isinstance(answer, Found):
            return answer
        if answer.status_code == 401:
            return Found(False, "GitHub does not accept GITHUB_TOKEN.", "Set a valid one, or none.")
        if answer.status_code == 404:
            return Found(False, f"GitHub knows no repository {name}.", "Mend github.repositories.")
        if answer.status_code != 200:
            advice = "Without GITHUB_TOKEN it is 60 requests an hour for each address: set one."
            return Found(False, f"GitHub answered {answer.status_code} about {name}.", advice)
    left = answer.headers.get("x-ratelimit-remaining", "?")
    return Found(True, f"{len(settings.github.repositories)} repositories are there; {left} requests left this hour.")


def slack(settings: Settings) -> Found:
    """Both tokens, and every channel."""
    ours = settings.slack
    if not ours.channel:
        return Found(None, "slack.channel is empty: no Slack.")
    way_in = ("SLACK_SIGNING_SECRET", ours.signing_secret) if ours.listen else ("SLACK_APP_TOKEN", ours.app_token)
    needed = (("SLACK_BOT_TOKEN", ours.bot_token), way_in)
    if missing := next((name for name, secret in needed if secret is None), ""):
        return Found(False, f"slack.channel is set, but {missing} is not.", "Put it into the environment.")
    client = WebClient(base_url=ours.api_url, timeout=int(TIMEOUT_S), retry_handlers=[])
    try:
        return _workspace(client, ours, ours.bot_token.get_secret_value())
    except (SlackClientError, OSError) as error:
        return Found(False, f"Slack at {ours.api_url} gives no answer ({type(error).__name__}).", WAYS_OUT)


def _workspace(client: WebClient, ours: Slack, bot: str) -> Found:
    try:
        known = client.auth_test(token=bot)
    except SlackApiError as error:
        advice = "Copy the Bot User OAuth Token (xoxb-…) of the app again."
        return Found(False, f"Slack does not accept SLACK_BOT_TOKEN: {error.response.get('error')}.", advice)
    try:
        if not ours.listen and ours.app_token is not None:
            client.apps_connections_open(app_token=ours.app_token.get_secret_value())
    except SlackApiError as error:
        advice = "Make an App-Level Token (xapp-…) with the scope connections:write, and turn Socket Mode on."
        return Found(False, f"Slack does not accept SLACK_APP_TOKEN: {error.response.get('error')}.", advice)
    try:
        channels = _channels(client, bot)
    except SlackApiError as error:
        advice = "Install the app again from docs/slack-manifest.yaml."
        return Found(False, f"Slack does not list its channels: {error.response.get('error')}.", advice)
    for wanted in filter(None, (ours.channel, ours.research_channel, ours.grading_channel)):
        found = channels.get(wanted.removeprefix("#"))
        if found is None:
            advice = f"Create {wanted}, or mend the settings; into a private one the bot must be invited first."
            return Found(False, f"Slack shows us no channel {wanted}.", advice)
        if not found.get("is_member"):
            return Found(False, f"We are not in {wanted}.", f"There: /invite @{known.get('user')}")
    way_in = f"HTTP is listened for at {ours.listen}" if ours.listen else "Socket Mode opens"
    return Found(True, f"{known.get('team')}: we are {known.get('user')}, in {ours.channel}; {way_in}.")


def _channels(client: WebClient, token: str) -> dict[str, dict]:
    """name or id → channel, of all that we may see."""
    found: dict[str, dict] = {}
    for page in client.conversations_list(token=token, limit=200, types="public_channel,private_channel"):
        for channel in page["channels"]:
            found |= {channel["name"]: channel, channel["id"]: channel}
    return found


def mail(settings: Settings) -> Found:
    """Up to the point where a letter would begin."""
    ours = settings.mail
    if not ours.host:
        return Found(None, "mail.host is empty: no mail.")
    where = f"{ours.host}:{ours.port}"
    try:
        with connection(ours, TIMEOUT_S) as server:
            server.ehlo_or_helo_if_needed()
            code, said = server.noop()
    except smtplib.SMTPAuthenticationError:
        return Found(False, f"{where} does not let {ours.user} in.", "Mend mail.user or DAYZERO_MAIL_PASSWORD.")
    except ssl.SSLError as error:
        return Found(
            False, f"{where}: the certificate does not hold ({error.reason}).", "Mend mail.host or its certificate."
        )
    except (smtplib.SMTPException, OSError) as error:
        return Found(
            False,
            f"{where} takes no mail: {error}.",
            "Mend mail.host, mail.port, mail.starttls (587) or mail.tls (465).",
        )
    if code != 250:
        return Found(False, f"{where} answered {code} {said.decode(errors='replace')}.", "Ask who runs it.")
    to = ", ".join(ours.alerts_to) or "nobody but owners of jobs (mail.alerts_to is empty)"
    return Found(True, f"{where} answers; alerts go to {to}.")
