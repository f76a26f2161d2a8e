"""Drive a headless Chromium from a test, over its DevTools protocol, with nothing but aiohttp.

with Browser() as browser:
    page = browser.open("http://127.0.0.1:8000/")
    page.click("button#go")
    page.wait_for("document.title === 'done'")
    page.screenshot(tmp_path / "done.png")
    assert page.errors == []
"""

import asyncio
import base64
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import aiohttp

from tests.waiting import until

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
    "--hide-scrollbars",
    "--no-proxy-server",
    "--remote-debugging-port=0",
)
KEYS = {
    "Enter": ("\r", 13),
    "Tab": ("", 9),
    "Escape": ("", 27),
    "ArrowUp": ("", 38),
    "ArrowDown": ("", 40),
    "ArrowLeft": ("", 37),
    "ArrowRight": ("", 39),
    "Backspace": ("", 8),
    " ": (" ", 32),
}
MODIFIERS = {"alt": 1, "ctrl": 2, "meta": 4, "shift": 8}


def chromium() -> str | None:
    """Where Chromium is, or None: the one named by $CHROMIUM, or the first on the PATH."""
    names = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    return next((found for found in map(shutil.which, filter(None, names)) if found), None)


class Browser:
    """One Chromium with a profile of its own, gone after the `with`."""

    def __enter__(self) -> "Browser":
        binary = chromium()
        if binary is None:
            raise FileNotFoundError("no Chromium on the PATH; install `chromium` or set CHROMIUM")
        self.profile = Path(tempfile.mkdtemp(prefix="browser-"))
        argv = [binary, *FLAGS, f"--user-data-dir={self.profile}", "about:blank"]
        quiet = subprocess.DEVNULL
        # a session of its own: the wrapper script and all its children end together
        self.process = subprocess.Popen(argv, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
        self.loop = asyncio.new_event_loop()
        self.http = self.run(opened_session())
        self.pages: list[Page] = []
        active = self.profile / "DevToolsActivePort"
        until(lambda: active.exists() and "\n" in active.read_text(), 30, "Chromium's DevTools port")
        port, self.path = active.read_text().split()
        self.port = int(port)
        return self

    def __exit__(self, *_: object) -> None:
        for page in self.pages:
            self.run(page.socket.close())
        self.run(self.http.close())
        self.loop.close()
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        until(self.removed, 10, "the end of Chromium's profile folder")

    def removed(self) -> bool:
        shutil.rmtree(self.profile, ignore_errors=True)
        return not self.profile.exists()

    def run(self, coroutine):
        return self.loop.run_until_complete(coroutine)

    def open(self, url: str, width: int = 1280, height: int = 860) -> "Page":
        """A new tab of this size, showing the url."""
        page = self.run(self._tab())
        self.pages.append(page)
        page.size(width, height)
        page.goto(url)
        return page

    async def _tab(self) -> "Page":
        # a window each: a tab behind another is throttled and loads its pictures late
        async with self.http.ws_connect(f"ws://127.0.0.1:{self.port}{self.path}") as control:
            wanted = {"url": "about:blank", "newWindow": True}
            target = await Page(self, control).call("Target.createTarget", **wanted)
        socket = await self.http.ws_connect(
            f"ws://127.0.0.1:{self.port}/devtools/page/{target['targetId']}", max_msg_size=0
        )
        page = Page(self, socket)
        await page.call("Emulation.setFocusEmulationEnabled", enabled=True)
        for domain in ("Page", "Runtime", "Network", "Log"):
            await page.call(f"{domain}.enable")
        return page


async def opened_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession()


class Page:
    """One tab. `errors` collects exceptions and console errors, `requests` every URL the page asked for."""

    def __init__(self, browser: Browser, socket: aiohttp.ClientWebSocketResponse):
        self.browser = browser
        self.socket = socket
        self.number = 0
        self.errors: list[str] = []
        self.requests: list[str] = []

    async def call(self, method: str, **params: object) -> dict:
        self.number += 1
        await self.socket.send_json({"id": self.number, "method": method, "params": params})
        while True:
            answer = json.loads(await self.socket.receive_str(timeout=30))
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self._note(answer)

    def _note(self, event: dict) -> None:
        params = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description") or details["text"])
        elif event.get("method") == "Runtime.consoleAPICalled" and params["type"] == "error":
            self.errors.append(" ".join(str(one.get("value", one.get("description"))) for one in params["args"]))
        elif event.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}".strip())
        elif event.get("method") == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])

    def do(self, method: str, **params: object) -> dict:
        """One DevTools command, blocking."""
        return self.browser.run(self.call(method, **params))

    def goto(self, url: str) -> None:
        self.do("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'", 20)

    def js(self, expression: str) -> object:
        """The value of a JavaScript expression (promises are awaited); raises what it throws."""
        answer = self.do("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description") or details["text"])
        return answer["result"].get("value")

    def wait_for(self, expression: str, timeout: float = 10.0) -> object:
        """The first truthy value of a JavaScript expression (True for an element); AssertionError naming it after
        `timeout` seconds.
        """
        truth = f"(async () => {{ const it = await ({expression}); return it instanceof Node || it; }})()"
        deadline = time.monotonic() + timeout
        while True:
            try:
                value = self.js(truth)
            except RuntimeError as error:  # the page may be on its way to the next document
                value, last = None, error
            else:
                last = value
            if value:
                return value
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {timeout:g} s in vain for {expression}; last: {last!r}; {self.errors}")
            time.sleep(0.05)

    def text(self, selector: str) -> str:
        """The visible text of the first element that fits."""
        return self.wait_for(f"document.querySelector({json.dumps(selector)})?.innerText")

    def click(self, selector: str, timeout: float = 10.0) -> None:
        """Press the mouse in the middle of the first element that fits the CSS selector, once it is visible, has come
        to rest, and nothing lies over it: on a page that is still being laid out a press goes elsewhere."""
        find = f"""(async () => {{
            const middle = (one) => {{
                const box = one.getBoundingClientRect();
                return {{x: box.x + box.width / 2, y: box.y + box.height / 2, size: box.width * box.height}};
            }};
            for (const one of document.querySelectorAll({json.dumps(selector)})) {{
                one.scrollIntoView({{block: "nearest"}});
                const before = middle(one);
                await new Promise((go) => setTimeout(go, 50));
                const {{x, y, size}} = middle(one);
                const hit = document.elementFromPoint(x, y);
                if (size && x === before.x && y === before.y && hit && (one.contains(hit) || hit.contains(one)))
                    return {{x, y}};
            }}
        }})()"""
        spot = self.wait_for(find, timeout)
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.do("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **spot)

    def type(self, text: str) -> None:
        """Type into whatever has the focus."""
        self.do("Input.insertText", text=text)

    def press(self, key: str, *held: str) -> None:
        """Press a key by its DOM name, with `alt`, `ctrl`, `meta`, `shift` held."""
        text, code = KEYS.get(key, (key, ord(key[0].upper())))
        modifiers = sum(MODIFIERS[one] for one in held)
        common = {"key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
        self.do("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **common)
        self.do("Input.dispatchKeyEvent", type="keyUp", **common)

    def size(self, width: int, height: int, scale: float = 1.0) -> None:
        sizes = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 600}
        self.do("Emulation.setDeviceMetricsOverride", **sizes)

    def dark(self, on: bool = True) -> None:
        """prefers-color-scheme, dark or light."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if on else "light"}
        self.do("Emulation.setEmulatedMedia", features=[scheme])

    def close(self) -> None:
        """Close the tab."""
        self.browser.pages.remove(self)
        self.do("Page.close")
        self.browser.run(self.socket.close())

    def screenshot(self, path: Path) -> Path:
        """Write what is on the screen as PNG."""
        data = self.do("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))
        return path
