"""The lab's Slack workspace, driven by the real slack_bolt and slack_sdk over HTTP and Socket Mode."""

import asyncio
import json
import logging
import os
import signal
import struct
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
import zlib
from pathlib import Path

import pytest
from slack_bolt import App
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from lab.slack.person import buttons, words
from lab.slack.seed import Channel, Command, Seed, load_seed
from lab.slack.server import Workspace
from tests.waiting import until


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


PNG = b"\x89PNG\r\n\x1a\n" + b"".join(
    chunk(kind, data)
    for kind, data in (
        (b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0\x10\x80\x70")),
        (b"IEND", b""),
    )
)
ROOT = Path(__file__).parents[2]


@pytest.fixture
def slack(tmp_path):
    """A workspace that keeps its state in a folder."""
    with Workspace(tmp_path / "slack") as workspace:
        yield workspace


@pytest.fixture
def web(slack):
    return client(slack)


def client(slack: Workspace, **more) -> WebClient:
    return WebClient(slack.bot_token, base_url=slack.api_url, **more)


def section(text: str) -> dict:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def card(decided: str = "") -> list[dict]:
    """A card as the bot posts it: a header, fields, a bar, and buttons until somebody decided."""
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": "acme/tiny-1b"}},
        {"type": "section", "fields": [{"type": "mrkdwn", "text": f"*{k}*\n{v}"} for k, v in FIELDS.items()]},
    ]
    if decided:
        return [*blocks, section(decided)]
    elements = [button("approve", "Approve", "acme/tiny-1b", "primary"), button("skip", "Skip", "x", "danger")]
    return [*blocks, {"type": "actions", "elements": elements}]


FIELDS = {"Size": "1.2 B", "Nodes": "2 × 4 GPUs"}


def button(action_id: str, text: str, value: str, style: str) -> dict:
    label = {"type": "plain_text", "text": text}
    return {"type": "button", "action_id": action_id, "text": label, "value": value, "style": style}


def modal() -> dict:
    options = [{"text": {"type": "plain_text", "text": name.title()}, "value": name} for name in ("preview", "stable")]
    return {
        "type": "modal",
        "callback_id": "deploy",
        "private_metadata": "kept",
        "title": {"type": "plain_text", "text": "Deploy"},
        "submit": {"type": "plain_text", "text": "Go"},
        "notify_on_close": True,
        "blocks": [
            {
                "type": "input",
                "block_id": "model",
                "label": {"type": "plain_text", "text": "Model"},
                "element": {"type": "plain_text_input", "action_id": "name", "min_length": 3},
            },
            {
                "type": "input",
                "block_id": "tag",
                "label": {"type": "plain_text", "text": "Tag"},
                "element": {"type": "static_select", "action_id": "tag", "options": options},
            },
        ],
    }


class Bot:
    """A small bot with a listener for each thing the product needs; `heard` keeps what reached it."""

    def __init__(self, slack: Workspace):
        self.slack = slack
        self.heard: list[tuple[str, object]] = []
        self.app = App(client=client(slack), process_before_response=False)
        self.handler = SocketModeHandler(self.app, slack.app_token, ping_interval=1)
        self.listen()

    def listen(self) -> None:
        app, heard = self.app, self.heard

        @app.command("/deploy")
        def deploy(ack, body, client):
            ack()
            client.views_open(trigger_id=body["trigger_id"], view=modal())

        @app.view("deploy")
        def deployed(ack, view, body, client):
            values = view["state"]["values"]
            heard.append(("view", (values, view["private_metadata"], body["user"]["id"])))
            if "/" not in values["model"]["name"]["value"]:
                ack(response_action="errors", errors={"model": "Say org/name."})
                return
            ack()
            client.chat_postMessage(channel="#models", text="a card", blocks=card())

        @app.view_closed("deploy")
        def closed(ack, view):
            ack()
            heard.append(("closed", view["callback_id"]))

        @app.action("approve")
        def approved(ack, body, action, client, respond):
            ack()
            heard.append(("approve", (body["user"]["id"], action["value"])))
            place = {"channel": body["channel"]["id"], "ts": body["message"]["ts"]}
            client.chat_update(**place, text="approved", blocks=card(f"Approved by <@{body['user']['id']}>"))
            client.chat_postMessage(channel=place["channel"], thread_ts=place["ts"], text="caching weights")
            client.files_upload_v2(
                channel=place["channel"], thread_ts=place["ts"], filename="chart.png", title="Chart", content=PNG
            )
            owner = client.users_lookupByEmail(email="bob@example.com")["user"]["id"]
            room = client.conversations_open(users=[owner])["channel"]["id"]
            client.chat_postMessage(channel=room, text="your job was preempted")
            respond(text="noted", replace_original=False)

        @app.command("/status")
        def status(ack):
            ack("all quiet")

        @app.command("/history")
        def history(ack, respond):
            ack()
            respond("first")
            respond(text="to all", response_type="in_channel")

        @app.command("/retry")
        def never(ack):
            heard.append(("retry", None))

        @app.event("app_mention")
        def mention(event, say):
            heard.append(("mention", event["text"]))
            say(text="you called?", thread_ts=event["ts"])

        @app.event("message")
        def message(event):
            heard.append(("message", (event["channel_type"], event["text"])))

        @app.event("app_home_opened")
        def home(event, client):
            client.views_publish(user_id=event["user"], view={"type": "home", "blocks": [section("*Live models*")]})

    def of(self, kind: str) -> list:
        return [what for name, what in self.heard if name == kind]

    def connect(self) -> None:
        self.handler.connect()
        until(self.slack.control.sockets, 5, "the bot's socket")

    def close(self) -> None:
        # slack_sdk's close() waits three seconds for a read to end, unless the far end hangs up first
        self.handler.client.auto_reconnect_enabled = False
        self.slack.control.disconnect(warn=False)
        until(lambda: not self.handler.client.is_connected(), 5, "the hang-up")
        self.handler.close()


@pytest.fixture
def bot(slack):
    """The small bot, connected over Socket Mode."""
    bot = Bot(slack)
    bot.connect()
    yield bot
    bot.close()


def test_the_whole_line_with_real_bolt(slack, bot):
    """Command, modal with the app's own field error, post, button, update, thread, file, lookup, DM: each arrives."""
    alice, bob = slack.person("alice"), slack.person("bob")
    assert alice.command("/deploy", "x")
    assert alice.modal(3)["private_metadata"] == "kept"
    refused = alice.submit({"model": "tiny", "tag": "preview"})
    assert (refused.error, refused.errors) == ("field_errors", {"model": "Say org/name."})
    assert alice.submit({"name": "acme/tiny-1b", "tag": "Stable"})
    values, metadata, who = bot.of("view")[-1]
    assert values["tag"]["tag"]["selected_option"]["value"] == "stable"
    assert (metadata, who) == ("kept", "U0ALICE")
    assert alice.modal() is None

    posted = bob.sees("#models", "acme/tiny-1b")
    assert buttons(posted) == ["approve", "skip"]
    assert bob.click("approve", channel="#models")
    assert bot.of("approve") == [("U0BOB", "acme/tiny-1b")]
    updated = alice.sees("#models", "Approved by <@U0BOB>")
    assert updated["ts"] == posted["ts"] and updated["edited"]
    until(lambda: len(alice.thread("#models", posted["ts"])) == 3, 5, "a reply and a file in the thread")
    reply, file = alice.thread("#models", posted["ts"])[1:]
    assert reply["text"] == "caching weights"
    assert (file["files"][0]["title"], file["files"][0]["size"]) == ("Chart", len(PNG))
    assert bob.sees("@bob", "your job was preempted")
    assert bob.sees("#models", lambda one: one.get("ephemeral_to") == "U0BOB" and one["text"] == "noted")
    assert not [one for one in alice.messages("#models") if one["text"] == "noted"]
    assert alice.messages("#models")[0]["reply_count"] == 2
    until(lambda: all(one["acknowledged"] for one in slack.control.envelopes()), 5, "every envelope acknowledged")


def test_acknowledgement_text_and_respond(slack, bot):
    """The text of an ack is shown only to who asked; respond() reaches the same person, or all when it says so."""
    alice = slack.person("alice")
    seen = alice.command("/status")
    assert (seen.message["text"], seen.message["ephemeral_to"]) == ("all quiet", "U0ALICE")
    alice.command("/history")
    assert alice.sees("#models", "first")["ephemeral_to"] == "U0ALICE"
    assert "ephemeral_to" not in slack.person("dana").sees("#models", "to all")


def test_a_command_that_is_not_acknowledged_times_out(slack, bot):
    """Three seconds without ack: the person reads operation_timeout, as in Slack."""
    seen = slack.person("alice").command("/retry")
    assert seen.error == "operation_timeout"
    assert "/retry failed" in slack.person("alice").messages("#models")[-1]["text"]
    assert slack.person("bob").messages("#models") == []


def test_without_a_bot_and_without_the_command(slack):
    """No socket: dispatch_failed at once. A command nobody registered: not valid, and nothing is sent."""
    alice = slack.person("alice")
    assert alice.command("/status").error == "dispatch_failed"
    assert alice.command("/nonsense").error == "invalid_command"


def test_what_slacks_own_client_refuses(slack, bot):
    """A required field left empty, a choice that is not offered, a text too short: nothing reaches the bot."""
    alice = slack.person("alice")
    alice.command("/deploy")
    assert set(alice.submit({}).errors) == {"model", "tag"}
    assert alice.submit({"model": "ab", "tag": "preview"}).errors == {"model": "Please use at least 3 characters."}
    assert alice.submit({"model": "abc", "tag": "gold"}).error == "invalid_choice"
    assert "no input called typo" in alice.submit({"typo": "abc"}).text
    assert bot.of("view") == []
    assert alice.close()
    until(lambda: bot.of("closed") == ["deploy"], 3, "view_closed")


def test_events_reach_the_bot(slack, bot):
    """A mention comes as app_mention and as message, a DM as message.im; the bot's answer lands in the thread."""
    alice = slack.person("alice")
    said = alice.say("#models", "hello @dayzero <b>").message
    assert said["text"] == "hello <@U0DAYZERO> &lt;b&gt;"
    until(lambda: len(alice.thread("#models", said["ts"])) == 2, 5, "an answer in the thread")
    assert bot.of("mention") == [said["text"]]
    alice.say("@alice", "psst")
    until(lambda: ("im", "psst") in bot.of("message"), 5, "the DM")
    alice.open_home()
    until(lambda: "Live models" in words(alice.home()), 5, "the home tab")


def test_async_bolt(slack):
    """AsyncApp over aiohttp runs the same line: command, modal, submission, post, file."""

    async def story():
        api = AsyncWebClient(slack.bot_token, base_url=slack.api_url)
        app = AsyncApp(client=api)

        @app.command("/deploy")
        async def deploy(ack, body, client):
            await ack()
            await client.views_open(trigger_id=body["trigger_id"], view=modal())

        @app.view("deploy")
        async def deployed(ack, view, client):
            await ack()
            said = view["state"]["values"]["model"]["name"]["value"]
            posted = await client.chat_postMessage(channel="#models", text=said)
            await client.files_upload_v2(
                channel=posted["channel"], thread_ts=posted["ts"], filename="a.png", content=PNG, title="a"
            )

        handler = AsyncSocketModeHandler(app, slack.app_token)
        await handler.connect_async()
        try:
            await asyncio.to_thread(hands)
        finally:
            await handler.close_async()

    def hands():
        alice = slack.person("alice")
        assert alice.command("/deploy")
        assert alice.submit({"model": "acme/async", "tag": "preview"})
        message = alice.sees("#models", "acme/async")
        until(lambda: len(alice.thread("#models", message["ts"])) == 2, 5, "the file")

    asyncio.run(story())


def refusal(call, *args, **more) -> SlackApiError:
    with pytest.raises(SlackApiError) as caught:
        call(*args, **more)
    return caught.value


@pytest.mark.parametrize(
    ("token", "method", "error"),
    [
        ("xoxb-other", "auth.test", "invalid_auth"),
        ("", "auth.test", "not_authed"),
        ("xoxb-lab", "apps.connections.open", "not_allowed_token_type"),
        ("xapp-lab", "chat.postMessage", "not_allowed_token_type"),
        ("xoxb-lab", "chat.noSuchThing", "unknown_method"),
    ],
)
def test_tokens_and_methods(slack, token, method, error):
    """Wrong, missing and misplaced tokens, and a method that is none, are refused in Slack's words."""
    web = WebClient(token or None, base_url=slack.api_url)
    assert refusal(web.api_call, method).response["error"] == error


@pytest.mark.parametrize(
    ("method", "args", "error"),
    [
        ("chat.postMessage", {"channel": "#nowhere", "text": "x"}, "channel_not_found"),
        ("chat.postMessage", {"channel": "#models"}, "no_text"),
        ("chat.postMessage", {"text": "x"}, "invalid_arguments"),
        ("chat.postMessage", {"channel": "#models", "text": "x" * 40_001}, "msg_too_long"),
        ("chat.postMessage", {"channel": "#models", "text": "x", "thread_ts": "1.000000"}, "thread_not_found"),
        ("chat.postMessage", {"channel": "#quiet", "text": "x"}, "not_in_channel"),
        ("chat.postMessage", {"channel": "#models", "text": "x", "metadata": {"event_type": 1}},
         "invalid_metadata_format"),
        ("chat.update", {"channel": "C0MODELS", "ts": "1.000000", "text": "x"}, "message_not_found"),
        ("chat.delete", {"channel": "C0MODELS", "ts": "1.000000"}, "message_not_found"),
        ("users.lookupByEmail", {"email": "nobody@example.com"}, "users_not_found"),
        ("users.info", {"user": "U0NOBODY"}, "user_not_found"),
        ("conversations.open", {"users": "U0DAYZERO"}, "cannot_dm_bot"),
        ("usergroups.users.list", {"usergroup": "S0NONE"}, "no_such_subteam"),
        ("views.open", {"trigger_id": "1.2.3", "view": modal()}, "invalid_trigger_id"),
        ("views.update", {"view_id": "V0", "view": modal()}, "not_found"),
        ("files.getUploadURLExternal", {"filename": "a"}, "invalid_arguments"),
        ("files.completeUploadExternal", {"files": [{"id": "F0"}]}, "file_not_found"),
    ],
)  # fmt: skip
def test_refusals(tmp_path, method, args, error):
    """What Slack refuses is refused, in the same word, and leaves no message behind."""
    with Workspace(seed=Seed(channels=(Channel(name="models"), Channel(name="quiet", bot=False)))) as slack:
        assert refusal(client(slack).api_call, method, json=args).response["error"] == error
        assert slack.person("alice").messages("#models") == []


def many(number: int, one: dict) -> list:
    return [dict(one) for _ in range(number)]


PLAIN = {"type": "plain_text", "text": "x"}


@pytest.mark.parametrize(
    ("blocks", "said"),
    [
        (many(51, {"type": "divider"}), "no more than 50 items allowed [json-pointer:/blocks]"),
        ([section("x" * 3001)], "must be less than 3001 characters [json-pointer:/blocks/0/text/text]"),
        ([section("")], "must be more than 0 characters"),
        ([{"type": "section"}], "must define one of text, fields"),
        ([{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}], "must be less than 151"),
        ([{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}], "unsupported type: mrkdwn"),
        ([{"type": "carousel"}], "unsupported type: carousel [json-pointer:/blocks/0/type]"),
        ([{"type": "divider", "colour": "red"}], "invalid additional property: colour"),
        ([{"type": "actions", "elements": many(26, button("a", "A", "v", "primary"))}], "no more than 25 items"),
        ([{"type": "actions", "elements": [button("a", "A" * 76, "v", "primary")]}], "must be less than 76"),
        ([{"type": "actions", "elements": [button("a", "A", "v" * 2001, "primary")]}], "must be less than 2001"),
        ([{"type": "actions", "elements": [button("a", "A", "v", "green")]}], "must be one of primary, danger"),
        ([{"type": "actions", "elements": [{"type": "button"}]}], "missing required field: text"),
        ([{"type": "section", "fields": many(11, PLAIN)}], "no more than 10 items"),
        ([{"type": "context", "elements": []}], "no fewer than 1 items"),
        ([{"type": "divider", "block_id": "a"}, {"type": "divider", "block_id": "a"}], "already exists"),
        ([{"type": "image", "image_url": "http://x"}], "missing required field: alt_text"),
        (["divider"], "unsupported type: None"),
    ],
)
def test_block_kit_limits(slack, web, blocks, said):
    """Each limit of Block Kit answers invalid_blocks and says which field, by JSON pointer."""
    error = refusal(web.chat_postMessage, channel="#models", text="x", blocks=blocks)
    assert error.response["error"] == "invalid_blocks"
    assert said in error.response["response_metadata"]["messages"][0]


def test_limits_are_inclusive(slack, web):
    """Exactly at the limit is fine: no refusal for 50 blocks, 3000, 150, 75 and 2000 characters, 25 elements."""
    full = [
        section("x" * 3000),
        {"type": "header", "text": {"type": "plain_text", "text": "x" * 150}},
        {"type": "actions", "elements": [button(f"a{n}", "A" * 75, "v" * 2000, "primary") for n in range(25)]},
    ]
    web.chat_postMessage(channel="#models", text="x" * 40_000, blocks=[*full, *many(47, {"type": "divider"})])


def test_bad_views(slack, bot):
    """A modal without submit but with inputs, and a title too long, are invalid_arguments; the trigger stays good."""
    views, opened = [], []

    @bot.app.command("/models")
    def models(ack, body, client):
        ack()
        for view in ({**modal(), "submit": None}, {**modal(), "title": {"type": "plain_text", "text": "x" * 25}}):
            views.append(refusal(client.views_open, trigger_id=body["trigger_id"], view=view).response.data)
        opened.append(client.views_open(trigger_id=body["trigger_id"], view=modal())["view"])
        views.append(refusal(client.views_open, trigger_id=body["trigger_id"], view=modal()).response.data)

    slack.person("alice").command("/models")
    until(lambda: len(views) == 3, 5, "three refusals")
    assert [view["error"] for view in views] == ["invalid_arguments", "invalid_arguments", "exchanged_trigger_id"]
    assert "submit is required" in views[0]["response_metadata"]["messages"][0]
    same = bot.app.client.views_update(view_id=opened[0]["id"], hash=opened[0]["hash"], view=modal())["view"]
    stale = refusal(bot.app.client.views_update, view_id=same["id"], hash=opened[0]["hash"], view=modal())
    assert (same["id"], stale.response["error"]) == (opened[0]["id"], "hash_conflict")


def test_a_trigger_expires(tmp_path):
    """A trigger is good for its life only (three seconds in Slack, a tenth here)."""
    late = threading.Event()
    errors = []
    with Workspace(seed=Seed(trigger_lives=0.1)) as slack:
        bot = Bot(slack)

        @bot.app.command("/models")
        def models(ack, body, client):
            ack()
            late.wait(0.3)
            errors.append(refusal(client.views_open, trigger_id=body["trigger_id"], view=modal()).response["error"])

        bot.connect()
        slack.person("alice").command("/models")
        until(lambda: errors == ["expired_trigger_id"], 5, "the refusal")
        bot.close()


def test_response_actions(slack, bot):
    """update, push (three deep at most) and clear do to the modal what Slack does."""
    answers = []

    @bot.app.view("steps")
    def steps(ack, view):
        ack(**answers.pop(0))

    @bot.app.command("/models")
    def models(ack, body, client):
        ack()
        client.views_open(trigger_id=body["trigger_id"], view=step("one"))

    def step(title):
        plain = {"type": "plain_text", "text": title}
        return {"type": "modal", "callback_id": "steps", "title": plain, "submit": plain, "blocks": [section(title)]}

    alice = slack.person("alice")
    alice.command("/models")
    for action, title in (("update", "two"), ("push", "three"), ("push", "four")):
        answers.append({"response_action": action, "view": step(title)})
        assert alice.submit().view["title"]["text"] == title
    answers.append({"response_action": "push", "view": step("five")})
    assert alice.submit().error == "push_limit_reached"
    assert alice.close().view["title"]["text"] == "three"
    answers.append({"response_action": "clear"})
    assert alice.submit().view is None


def test_metadata_comes_back_only_when_asked(slack, web):
    """A post's metadata returns from history and replies with include_all_metadata, and survives an update."""
    metadata = {"event_type": "dayzero_post", "event_payload": {"key": "card:acme/tiny-1b@abc", "n": 1}}
    posted = web.chat_postMessage(channel="C0MODELS", text="one", metadata=metadata)
    web.chat_postMessage(channel="C0MODELS", text="two", thread_ts=posted["ts"], metadata=metadata)
    web.chat_update(channel="C0MODELS", ts=posted["ts"], text="edited")
    found = web.conversations_history(channel="C0MODELS", include_all_metadata=True)["messages"]
    assert [(one["text"], one["metadata"]) for one in found] == [("edited", metadata)]
    replies = web.conversations_replies(channel="C0MODELS", ts=posted["ts"], include_all_metadata=True)["messages"]
    assert [one["metadata"] for one in replies] == [metadata, metadata]
    assert "metadata" not in web.conversations_history(channel="C0MODELS")["messages"][0]


def test_history_pages_and_hides_replies(slack, web):
    """Newest first, in pages, without thread replies; oldest and latest cut as Slack cuts."""
    stamps = [web.chat_postMessage(channel="C0MODELS", text=str(n))["ts"] for n in range(5)]
    web.chat_postMessage(channel="C0MODELS", text="reply", thread_ts=stamps[0])
    pages = web.conversations_history(channel="C0MODELS", limit=2)
    assert [one["text"] for page in pages for one in page["messages"]] == ["4", "3", "2", "1", "0"]
    after = web.conversations_history(channel="C0MODELS", oldest=stamps[3])["messages"]
    assert [one["text"] for one in after] == ["4"]
    including = web.conversations_history(channel="C0MODELS", oldest=stamps[3], inclusive=True)["messages"]
    assert [one["text"] for one in including] == ["4", "3"]


def test_update_keeps_blocks_only_without_text(slack, web):
    """chat.update with text alone drops the blocks; with neither, they stay (metadata only)."""
    posted = web.chat_postMessage(channel="C0MODELS", text="card", blocks=card())
    metadata = {"event_type": "x", "event_payload": {}}
    web.api_call("chat.update", json={"channel": "C0MODELS", "ts": posted["ts"], "metadata": metadata})
    assert "blocks" in web.conversations_history(channel="C0MODELS")["messages"][0]
    web.chat_update(channel="C0MODELS", ts=posted["ts"], text="plain")
    assert "blocks" not in web.conversations_history(channel="C0MODELS")["messages"][0]


def test_pings(slack, web):
    """A raw <!channel> or <@U…> notifies, also inside blocks; escaped or in plain_text it notifies nobody."""

    def pinged(**message) -> list:
        ts = web.chat_postMessage(channel="#models", **message)["ts"]
        return next(one["pings"] for one in slack.person("alice").messages("#models") if one["ts"] == ts)

    header = {"type": "header", "text": {"type": "plain_text", "text": "<!channel>"}}
    assert pinged(text="&lt;!channel&gt; &lt;@U0BOB&gt; @channel") == []
    assert pinged(text="x", blocks=[header]) == []
    assert pinged(text="x", blocks=[section("<@U0BOB|bob> <!subteam^S0APPROVERS>")]) == ["S0APPROVERS", "U0BOB"]
    assert pinged(text="<!channel> <!here> <@U0BOB>") == ["U0BOB", "channel", "here"]
    assert pinged(text="@channel", link_names=True) == ["channel"]


def test_lookups(slack, web):
    """People, groups, channels, team and bot are found as the product looks for them."""
    assert web.users_lookupByEmail(email="Alice@example.com")["user"]["id"] == "U0ALICE"
    assert web.usergroups_list(include_users=True)["usergroups"][0]["users"] == ["U0ALICE"]
    assert web.usergroups_users_list(usergroup="S0APPROVERS")["users"] == ["U0ALICE"]
    names = [one["name"] for page in web.conversations_list(limit=2) for one in page["channels"]]
    assert names == ["models", "research", "grading"]
    assert web.conversations_info(channel="C0MODELS")["channel"]["is_member"]
    assert "U0DANA" in web.conversations_members(channel="C0MODELS")["members"]
    assert web.conversations_create(name="evals")["channel"]["name"] == "evals"
    assert refusal(web.conversations_create, name="evals").response["error"] == "name_taken"
    assert web.conversations_open(users="U0BOB,U0DANA", return_im=True)["channel"]["is_mpim"]
    assert web.bots_info(bot=web.auth_test()["bot_id"])["bot"]["user_id"] == "U0DAYZERO"
    assert web.team_info()["team"]["name"] == "lab"
    posted = web.chat_postMessage(channel="#models", text="x")
    web.reactions_add(channel=posted["channel"], timestamp=posted["ts"], name="eyes")
    again = refusal(web.reactions_add, channel=posted["channel"], timestamp=posted["ts"], name="eyes")
    assert again.response["error"] == "already_reacted"
    link = web.chat_getPermalink(channel=posted["channel"], message_ts=posted["ts"])["permalink"]
    assert link == f"{slack.url}/archives/C0MODELS/p{posted['ts'].replace('.', '')}"


def test_ephemeral_and_delete(slack, web):
    """postEphemeral is seen by one and is in no history; chat.delete takes the app's own message away, no other's."""
    web.chat_postEphemeral(channel="#models", user="U0BOB", text="only you")
    assert [one["text"] for one in slack.person("bob").messages("#models")] == ["only you"]
    assert slack.person("alice").messages("#models") == []
    assert web.conversations_history(channel="C0MODELS")["messages"] == []
    posted = web.chat_postMessage(channel="#models", text="oops")
    web.chat_delete(channel="C0MODELS", ts=posted["ts"])
    said = slack.person("alice").say("#models", "mine").message
    assert refusal(web.chat_delete, channel="C0MODELS", ts=said["ts"]).response["error"] == "cant_delete_message"
    assert [one["text"] for one in web.conversations_history(channel="C0MODELS")["messages"]] == ["mine"]


def test_form_with_json_inside(slack):
    """A form whose blocks are a JSON string works, as every old client sends it; broken JSON is named."""
    form = {"channel": "#models", "text": "x", "blocks": json.dumps([section("from a form")])}
    assert raw(slack, "chat.postMessage", form)["ok"]
    assert "from a form" in words(slack.person("alice").messages("#models")[-1])
    assert raw(slack, "chat.postMessage", {**form, "blocks": "[{"})["error"] == "invalid_blocks_format"


def raw(slack: Workspace, method: str, form: dict) -> dict:
    body = urllib.parse.urlencode(form).encode()
    headers = {"Authorization": f"Bearer {slack.bot_token}"}
    request = urllib.request.Request(slack.api_url + method, data=body, headers=headers)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as response:
        return json.loads(response.read())


# -- faults


def test_a_lost_answer_makes_slack_sdk_post_twice(slack, web):
    """The duplicate-post trap is real: the work is done, the answer is cut, and slack_sdk itself sends it again."""
    slack.control.lose_answers(1, methods=("chat.postMessage",))
    web.chat_postMessage(channel="#models", text="once?")
    assert [one["text"] for one in slack.person("alice").messages("#models")] == ["once?", "once?"]
    faults = [one["fault"] for one in slack.control.requests("chat.postMessage")]
    assert faults == ["lost_answer", ""]


def test_rate_limit_and_failures(slack, web):
    """429 with Retry-After for N calls of a method, then an error of choice, and the others untouched."""
    slack.control.rate_limit(2, retry_after=7, methods=("chat.postMessage",))
    slack.control.fail(1, error="fatal_error", methods=("chat.update",))
    for _ in range(2):
        answer = refusal(web.chat_postMessage, channel="#models", text="x").response
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    assert web.auth_test()["ok"]
    ts = web.chat_postMessage(channel="#models", text="x")["ts"]
    assert refusal(web.chat_update, channel="C0MODELS", ts=ts, text="y").response["error"] == "fatal_error"
    assert web.chat_update(channel="C0MODELS", ts=ts, text="y")["ok"]


@pytest.mark.parametrize("how", ["503", "refuse"])
def test_outage_and_return(slack, bot, how):
    """During an outage calls fail and the socket is gone; afterwards Bolt comes back by itself and commands work."""
    slack.control.outage(how)
    assert slack.control.sockets() == 0
    with pytest.raises((SlackApiError, OSError)):
        client(slack, retry_handlers=[]).chat_postMessage(channel="#models", text="lost")
    assert slack.person("alice").command("/status").error == "dispatch_failed"
    assert slack.person("alice").messages("#models")[0]["text"].startswith("/status failed")
    slack.control.outage(False)
    until(slack.control.sockets, 20, "the bot's return")
    assert slack.person("alice").command("/status").message["text"] == "all quiet"


def test_disconnect_and_reconnect(slack, bot):
    """A `disconnect` frame makes Bolt open a new connection at once."""
    assert slack.control.disconnect() == 1
    until(slack.control.sockets, 10, "a new socket")
    assert slack.person("alice").command("/status")


def test_unacknowledged_events_are_sent_again(tmp_path):
    """An event sent while no bot listens arrives later, marked as a retry."""
    with Workspace(seed=Seed(retry_delays=(0.2, 0.2, 0.2, 0.5, 1, 1))) as slack:
        slack.person("alice").say("#models", "anybody?")
        bot = Bot(slack)
        bot.connect()
        until(lambda: ("channel", "anybody?") in bot.of("message"), 8, "the retried event")
        assert slack.control.envelopes()[-1]["retry_attempt"] > 0
        bot.close()


def test_an_envelope_goes_to_one_socket_in_turn(slack):
    """With two bots connected, each command reaches exactly one, and both get their turn."""
    bots = [Bot(slack), Bot(slack)]
    counts = [0, 0]

    def counting(number):
        def models(ack):
            counts[number] += 1
            ack()

        return models

    for number, one in enumerate(bots):
        one.app.command("/models")(counting(number))
        one.handler.connect()
    until(lambda: slack.control.sockets() == 2, 5, "two sockets")
    for _ in range(4):
        assert slack.person("alice").command("/models")
    assert counts == [2, 2]
    for one in bots:
        one.handler.client.auto_reconnect_enabled = False
    for one in bots:
        one.close()


# -- restarts


def test_restart_keeps_what_was_said(tmp_path):
    """Messages, threads, metadata, files, channels and the home tab are there after a stop and a start."""
    folder = tmp_path / "slack"
    metadata = {"event_type": "x", "event_payload": {"key": "k"}}
    with Workspace(folder) as slack:
        web = client(slack)
        web.conversations_create(name="evals")
        posted = web.chat_postMessage(channel="#evals", text="card", blocks=card(), metadata=metadata)
        web.files_upload_v2(channel=posted["channel"], thread_ts=posted["ts"], filename="a.png", content=PNG)
        web.views_publish(user_id="U0ALICE", view={"type": "home", "blocks": [section("home")]})
        file = web.files_list()["files"][0]
    with Workspace(folder) as slack:
        web = client(slack)
        found = web.conversations_replies(channel="#evals", ts=posted["ts"], include_all_metadata=True)["messages"]
        assert found[0]["metadata"] == metadata
        assert found[1]["files"][0]["id"] == file["id"]
        request = urllib.request.Request(
            f"{slack.url}/files-pri/{file['id']}/a.png", headers={"Authorization": f"Bearer {slack.bot_token}"}
        )
        with urllib.request.urlopen(request, timeout=5) as response:
            assert response.read() == PNG
        assert "home" in words(slack.person("alice").home())
        later = web.chat_postMessage(channel="#evals", text="after")["ts"]
        assert later > found[1]["ts"]


def test_bolt_survives_a_restart_on_the_same_port(slack, bot):
    """stop() and start() on the same port: the same bot reconnects and answers."""
    slack.stop()
    slack.start()
    until(slack.control.sockets, 20, "the bot's return")
    assert slack.person("alice").command("/status").message["text"] == "all quiet"


def test_the_command_line_survives_a_kill(tmp_path):
    """`python -m lab.slack` writes its port, keeps what was posted through SIGKILL, and stops on SIGTERM."""
    port_file = tmp_path / "port"
    argv = [sys.executable, "-m", "lab.slack", "--dir", str(tmp_path / "d"), "--port-file", str(port_file)]

    def start() -> tuple[subprocess.Popen, WebClient]:
        port_file.unlink(missing_ok=True)
        process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.DEVNULL)
        until(port_file.exists, 15, "the port file")
        return process, WebClient("xoxb-lab", base_url=f"http://127.0.0.1:{int(port_file.read_text())}/api/")

    process, web = start()
    web.chat_postMessage(channel="#models", text="kept")
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    process, web = start()
    assert [one["text"] for one in web.conversations_history(channel="C0MODELS")["messages"]] == ["kept"]
    process.terminate()
    assert process.wait(10) == 0


def test_seed_file(tmp_path):
    """A TOML seed replaces what it names and keeps the rest; a typo names the key and the ones there are."""
    path = tmp_path / "seed.toml"
    path.write_text('team = "acme"\n[[channels]]\nname = "x"\n[[commands]]\nname = "/hi"\n')
    seed = load_seed(path)
    assert (seed.team, seed.channels, seed.commands) == ("acme", (Channel(name="x"),), (Command(name="/hi"),))
    assert seed.members == Seed().members
    path.write_text('chanels = "x"\n')
    with pytest.raises(ValueError, match=r"'chanels'.*channels"):
        load_seed(path)


# -- other people's pages


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example.com"}, 403),
        ({"Origin": "https://evil.example.com"}, 403),
        ({"Content-Type": "text/plain"}, 415),
    ],
)
def test_no_other_site_may_act(slack, headers, status):
    """A foreign host name, a foreign origin and a form post that needs no preflight are turned away."""
    body = json.dumps({"as": "alice", "channel": "#models", "text": "x"}).encode()
    headers = {"Content-Type": "application/json", **headers}
    request = urllib.request.Request(f"{slack.url}/_lab/act/say", data=body, headers=headers)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=5)
    assert caught.value.code == status
    caught.value.close()
    assert slack.person("alice").messages("#models") == []


@pytest.fixture(autouse=True)
def quiet():
    """Bolt logs every refusal we provoke as an error; only what a test asserts matters here."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
