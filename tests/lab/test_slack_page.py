"""The workspace's page in a real browser: what a person sees, types and clicks; and what a message cannot do to it."""

import json

import pytest

from lab.slack.server import Workspace
from tests.browser import Browser, chromium
from tests.lab.test_slack import PNG, Bot, button, card, client, modal, quiet, section
from tests.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.skipif(chromium() is None, reason="no Chromium on this machine")]
__all__ = ["quiet"]


@pytest.fixture(scope="module")
def browser():
    with Browser() as browser:
        yield browser


@pytest.fixture
def slack():
    with Workspace() as workspace:
        yield workspace


@pytest.fixture
def bot(slack):
    bot = Bot(slack)
    bot.connect()
    yield bot
    bot.close()


@pytest.fixture
def opened(browser, slack):
    """Open the page as somebody; at the end none of these pages may have complained or asked a stranger."""
    pages = []

    def open_as(name: str, path: str = "/", **size: int):
        page = browser.open(f"{slack.url}{path}?as={name}", **size)
        page.wait_for("document.querySelector('#channels a')")
        pages.append(page)
        return page

    yield open_as
    for page in pages:
        page.js("1")
        assert page.errors == []
        strangers = [url for url in page.requests if not url.startswith((slack.url, "data:", "about:"))]
        assert strangers == []
        page.close()


def test_the_whole_line_by_hand(slack, bot, opened):
    """Type a command, fill the modal (with an error first), see the card, click, read the thread: all live."""
    page, other = opened("alice"), opened("bob")
    page.click("#compose")
    page.type("/depl")
    assert "/deploy" in page.text(".offers")
    page.press("Enter")
    page.press("Enter")
    page.wait_for("document.querySelector('#modal[open] input') === document.activeElement")
    page.type("tiny")
    page.press("Enter")
    assert page.text(".error:not([hidden])") == "Please complete this required field."
    page.js("document.querySelector('#modal select').value = 'stable'")
    page.click("#modal .btn.primary")
    page.wait_for("document.querySelector('.error:not([hidden])')?.innerText === 'Say org/name.'")
    page.js("document.querySelector('#modal input').value = 'acme/tiny-1b'")
    page.click("#modal .btn.primary")
    page.wait_for("!document.querySelector('#modal').open")

    assert other.text(".b-header") == "acme/tiny-1b"
    other.click("[data-action-id=approve]")
    page.wait_for("document.querySelector('#log').innerText.includes('Approved by @bob')")
    page.wait_for("document.querySelector('#log .replies')?.innerText.includes('2 replies')")
    assert page.js("document.querySelectorAll('#log [data-action-id=approve]').length") == 0
    page.click(".replies")
    page.wait_for("document.querySelector('#thread-log .picture img')?.naturalWidth === 1")
    page.click("#thread textarea")
    page.type("thank you")
    page.press("Enter")
    page.wait_for("document.querySelector('#log .replies').innerText.includes('3 replies')")
    other.wait_for("document.querySelector('#log').innerText.includes('Only visible to you')")
    assert "Only visible" not in page.text("#log")
    other.wait_for("document.querySelector('#dms .count')?.innerText === '1'")
    other.click("#dms a")
    other.wait_for("document.querySelector('#log').innerText.includes('your job was preempted')")


def test_failures_are_shown(slack, opened):
    """No bot: the command's failure is an ephemeral line, a click's a toast, and the status says so."""
    client(slack).chat_postMessage(channel="#models", text="card", blocks=card())
    page = opened("alice")
    page.wait_for("document.querySelector('#link').innerText === 'app offline'")
    page.click("#compose")
    page.type("/status")
    page.press("Enter")
    page.wait_for(
        "document.querySelector('#log').innerText.includes('/status failed with the error “dispatch_failed”')"
    )
    page.click("[data-action-id=approve]")
    assert "did not respond" in page.text(".toast")


def test_confirm_and_overflow(slack, bot, opened):
    """A confirm dialog stands before the click: no is no, yes sends it; an overflow menu sends its option."""
    heard = []
    for name in ("sure", "more"):
        bot.app.action(name)(lambda ack, action: (ack(), heard.append(action)))
    text = {"type": "plain_text", "text": "Really?"}
    confirm = {"title": text, "text": text, "confirm": text, "deny": {"type": "plain_text", "text": "No"}}
    option = {"text": {"type": "plain_text", "text": "Plan"}, "value": "plan"}
    more = {"type": "overflow", "action_id": "more", "options": [option]}
    blocks = [
        {**section("x"), "accessory": more},
        {"type": "actions", "elements": [{**button("sure", "Stop", "v", "danger"), "confirm": confirm}]},
    ]
    client(slack).chat_postMessage(channel="#models", text="x", blocks=blocks)
    page = opened("alice")
    page.click("[data-action-id=sure]")
    page.click("#confirm .btn:not(.primary)")
    page.click(".overflow summary")
    page.click(".menu button")
    until(lambda: heard, 5, "the overflow's choice")
    assert [one["action_id"] for one in heard] == ["more"]
    assert heard[0]["selected_option"]["value"] == "plan"
    page.click("[data-action-id=sure]")
    page.click("#confirm .btn.primary")
    until(lambda: len(heard) == 2, 5, "the confirmed click")


def test_every_input_of_a_modal(slack, bot, opened):
    """Text, select, checkboxes, radio buttons and dates arrive in Slack's state as a hand set them."""

    def option(name):
        return {"text": {"type": "plain_text", "text": name.upper()}, "value": name}

    options = [option("a"), option("b"), option("c")]
    elements = {
        "text": {"type": "plain_text_input", "multiline": True, "initial_value": "first"},
        "one": {"type": "static_select", "options": options, "initial_option": options[1]},
        "ticks": {"type": "checkboxes", "options": options, "initial_options": options[:1]},
        "radio": {"type": "radio_buttons", "options": options},
        "who": {"type": "users_select"},
        "day": {"type": "datepicker", "initial_date": "2026-11-23"},
    }
    label = {"type": "plain_text", "text": "Label"}
    blocks = [
        {"type": "input", "block_id": name, "label": label, "element": {**one, "action_id": name}}
        for name, one in elements.items()
    ]

    states = []

    @bot.app.command("/models")
    def models(ack, body, client):
        ack()
        client.views_open(trigger_id=body["trigger_id"], view={**modal(), "callback_id": "all", "blocks": blocks})

    @bot.app.view("all")
    def submitted(ack, view):
        ack()
        states.append({name: entry[name] for name, entry in view["state"]["values"].items()})

    page = opened("alice")
    assert slack.person("alice").command("/models")
    page.click("[data-block-id=ticks] label:nth-of-type(3)")
    page.click("[data-block-id=radio] label:nth-of-type(2)")
    page.js("document.querySelector('[data-block-id=who] select').value = 'U0DANA'")
    page.click("#modal .btn.primary")
    until(lambda: states, 5, "the submission")
    state = states[0]
    assert state["text"]["value"] == "first"
    assert state["one"]["selected_option"]["value"] == "b"
    assert [one["value"] for one in state["ticks"]["selected_options"]] == ["a", "c"]
    assert state["radio"]["selected_option"]["value"] == "b"
    assert (state["who"]["selected_user"], state["day"]["selected_date"]) == ("U0DANA", "2026-11-23")


HOLD_THE_SECOND_STATE = """
    const ask = window.fetch;
    let asked = 0;
    window.fetch = async (url, ...rest) => {
        const answer = await ask(url, ...rest);
        if (String(url).includes("/_lab/state") && ++asked === 2) {
            window.held = true;
            await new Promise((go) => { window.release = go; });
            window.released = true;
        } else if (window.released) window.drawn = true;
        return answer;
    };
"""


def test_a_modal_outlives_a_state_asked_before_it(slack, bot, opened):
    """A page that asks for its state as a modal opens shows the modal, though the answer knows of none."""

    @bot.app.command("/models")
    def models(ack, body, client):
        ack()
        client.views_open(trigger_id=body["trigger_id"], view=modal())

    page = opened("alice")
    page.do("Page.addScriptToEvaluateOnNewDocument", source=HOLD_THE_SECOND_STATE)
    page.goto(f"{slack.url}/?as=alice")
    page.wait_for("window.held")
    assert slack.person("alice").command("/models")
    page.wait_for("document.querySelector('#modal[open]')")
    page.js("release()")
    page.wait_for("window.drawn")  # the messages, asked for once the state is drawn
    assert page.js("document.querySelector('#modal').open")


def test_home_tab(slack, bot, opened):
    """The Home tab of the app shows what it publishes when a person looks."""
    page = opened("alice")
    page.click("#dms a")
    page.click("[data-tab=home]")
    page.wait_for("document.querySelector('#home').innerText.includes('Live models')")


def test_reconnects_after_a_restart(slack, opened):
    """The page survives a restart of the workspace and shows what came after, without a reload."""
    page = opened("alice")
    page.wait_for("document.querySelector('#link').innerText === 'app offline'")
    slack.stop()
    page.wait_for("document.querySelector('#link').innerText === 'reconnecting'")
    slack.start()
    page.wait_for("document.querySelector('#link').innerText === 'app offline'", 15)
    client(slack).chat_postMessage(channel="#models", text="still here")
    page.wait_for("document.querySelector('#log').innerText.includes('still here')")
    page.errors.clear()  # the browser itself reports the refused connections of the meantime


def test_permalink(slack, opened):
    """chat.getPermalink of a reply opens its channel with its thread."""
    web = client(slack)
    parent = web.chat_postMessage(channel="#research", text="parent")
    reply = web.chat_postMessage(channel="#research", text="the reply", thread_ts=parent["ts"])
    link = web.chat_getPermalink(channel=reply["channel"], message_ts=reply["ts"])["permalink"]
    page = opened("alice")
    page.goto(link)
    page.wait_for("document.querySelector('#thread-log').innerText.includes('the reply')")
    assert page.text("#title") == "#research"


# -- what a message cannot do

EVIL = '<img src=x onerror="window.owned=1"><script>window.owned=1</script>'
ESCAPED = EVIL.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def test_markup_in_messages_stays_text(slack, opened):
    """HTML in text, fields, buttons, file names, names and answers of commands is shown, never run."""
    web = client(slack)
    plain = {"type": "plain_text", "text": EVIL[:70]}
    blocks = [
        {"type": "header", "text": plain},
        {"type": "section", "fields": [{"type": "mrkdwn", "text": text} for text in (EVIL, ESCAPED)]},
        section(f"*{EVIL}* `{EVIL}` ```{EVIL}``` <javascript:window.owned=1|click> <https://example.com/|{ESCAPED}>"),
        {"type": "context", "elements": [{"type": "mrkdwn", "text": EVIL}]},
        {"type": "markdown", "text": f"[x](javascript:window.owned=1) {EVIL}"},
        {"type": "actions", "elements": [{"type": "button", "text": plain, "action_id": "a", "url": "javascript:1"}]},
        {"type": "image", "image_url": "http://stranger.example.com/x.png", "alt_text": EVIL},
    ]
    posted = web.chat_postMessage(channel="#models", text=EVIL, blocks=blocks)
    web.chat_postMessage(channel="#models", text=ESCAPED)
    web.files_upload_v2(channel=posted["channel"], filename='"><b>.png', title=EVIL, content=PNG)
    slack.person("alice").say("#models", EVIL)
    page = opened("bob")
    page.wait_for("document.querySelectorAll('#log .message').length === 4")
    assert page.text(".b-header").startswith("<img src=x")
    assert EVIL in page.js("document.querySelectorAll('#log .message')[1].innerText")
    assert page.js("document.querySelectorAll('#log script, #log [onerror]').length") == 0
    links = page.js("[...document.querySelectorAll('#log a')].map(a => a.protocol)")
    assert set(links) <= {"http:", "https:"}
    assert page.js("window.owned") is None


def test_uploaded_html_is_never_shown_as_a_page(slack, opened):
    """An uploaded report.html or drawing.svg is a download, not a document of this origin."""
    web = client(slack)
    for name in ("report.html", "drawing.svg"):
        web.files_upload_v2(channel="C0MODELS", filename=name, content=f"<script>{EVIL}</script>")
    page = opened("alice")
    page.wait_for("document.querySelectorAll('a.file').length === 2")
    for address in page.js("[...document.querySelectorAll('a.file')].map(a => a.href)"):
        headers = page.js(f"fetch({json.dumps(address)}).then(r => [...r.headers])")
        headers = {name.lower(): value for name, value in headers}
        assert headers["content-type"] == "application/octet-stream"
        assert headers["content-disposition"].startswith("attachment")
        assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("&lt;!channel&gt;", "&lt;!channel&gt;"),
        ("<!channel>", '<span class="mention loud">@channel</span>'),
        ("<@U0BOB> <#C0MODELS>", '<span class="mention">@bob</span> '
         '<a class="mention" href="#C0MODELS" data-channel="C0MODELS">#models</a>'),
        ("<!subteam^S0APPROVERS>", '<span class="mention">@approvers</span>'),
        ("*b* _i_ ~s~ `c*d*`", "<strong>b</strong> <em>i</em> <s>s</s> <code>c*d*</code>"),
        ("*_both_*", "<strong><em>both</em></strong>"),
        ("2*3*4 snake_case_name", "2*3*4 snake_case_name"),
        ("```\na &lt; b\n*no*\n```", "<pre><code>a &lt; b\n*no*</code></pre>"),
        ("&gt; quoted\nafter", "<blockquote>quoted</blockquote>after"),
        ("<https://example.com/a_b_c|see *x*>",
         '<a href="https://example.com/a_b_c" target="_blank" rel="noopener noreferrer">see *x*</a>'),
        ("<javascript:alert(1)|x>", "&lt;javascript:alert(1)|x&gt;"),
        ("<data:text/html,x>", "&lt;data:text/html,x&gt;"),
        ("&amp;lt;b&amp;gt;", "&amp;lt;b&amp;gt;"),
        (":rocket: :nosuch:", "🚀 :nosuch:"),
        ("a\nb", "a<br>b"),
    ],
)  # fmt: skip
def test_mrkdwn(parser, text, html):
    """mrkdwn becomes these nodes and no others."""
    world = {"users": {"U0BOB": {"name": "bob"}}, "channels": [{"id": "C0MODELS", "name": "models"}]}
    world["groups"] = {"S0APPROVERS": "approvers"}
    script = f"""import("/page/text.js").then(({{mrkdwn}}) => {{
        const box = document.createElement("div");
        box.append(mrkdwn({json.dumps(text)}, {json.dumps(world)}));
        return box.innerHTML;
    }})"""
    assert parser.js(script) == html


@pytest.fixture(scope="module")
def parser(browser):
    """A page whose modules can be called."""
    with Workspace() as slack:
        yield browser.open(f"{slack.url}/?as=alice")


# -- shapes of screen


def test_phone(slack, opened):
    """At phone width nothing is wider than the screen, and the channels are behind the menu button."""
    client(slack).chat_postMessage(channel="#models", text="x", blocks=[*card(), section("`" + "x" * 300 + "`")])
    page = opened("alice", width=360, height=720)
    page.wait_for("document.querySelector('.b-header')")
    assert page.js("document.documentElement.scrollWidth") == 360
    assert page.js("getComputedStyle(document.querySelector('#sidebar')).visibility") == "hidden"
    page.click("#menu")
    page.wait_for("document.querySelector('#sidebar').getBoundingClientRect().x === 0")
    page.click("#channels li:nth-child(2) a")
    page.wait_for("document.querySelector('#title').innerText === '#research'")


def test_dark_follows_the_system(slack, opened):
    """prefers-color-scheme turns paper and ink around."""
    page = opened("alice")
    light = page.js("getComputedStyle(document.body).backgroundColor")
    page.dark()
    assert page.js("getComputedStyle(document.body).backgroundColor") != light == "rgb(255, 255, 255)"


def test_keyboard_alone(slack, bot, opened):
    """Without a mouse: switch channel, reach a button and press it, open and close a modal."""
    client(slack).chat_postMessage(channel="#research", text="card", blocks=card())
    page = opened("alice")
    page.press("ArrowDown", "alt")
    page.wait_for("document.querySelector('#title').innerText === '#research'")
    page.wait_for("document.querySelector('[data-action-id=approve]') && document.activeElement.id === 'compose'")
    page.js("document.querySelector('[data-action-id=approve]').focus()")
    page.press("Enter")
    until(lambda: bot.of("approve"), 5, "the click by keyboard")
    page.js("document.querySelector('#compose').focus()")
    page.type("/deploy x")
    page.press("Enter")
    page.wait_for("document.querySelector('#modal').open")
    page.press("Escape")
    page.wait_for("!document.querySelector('#modal').open")
