"""`make demo`: a model is published, and a while later everybody can call it. With HEADLESS=1 without hands.

Exit code 0 only when the good model is in preview and answers, and the leaky one was held back with the reason.
"""

import argparse
import json
import os
import shlex
import signal
import sys
import time
import urllib.request
import webbrowser
from pathlib import Path

from lab.campus.campus import ROOT, Campus, default_folder
from lab.campus.processes import NotUp
from lab.campus.story import Happening, Ledger, StoryFailed, timeline
from lab.models.pairs import read_pairs
from lab.setup.packages import StepFailed
from lab.slurm.errors import SlurmLabError

PATIENCE_S = 600


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.demo", description=__doc__.splitlines()[0])
    parser.add_argument("--headless", action="store_true", default=os.environ.get("HEADLESS") == "1")
    parser.add_argument("--folder", type=Path, default=default_folder())
    parser.add_argument("--shelf", type=Path, default=ROOT / ".lab" / "models", help="the trained models")
    parser.add_argument("--no-slurm", action="store_true", help="take the embedded default even where Slurm could run")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    campus = Campus(options.folder, slurm=False if options.no_slurm else None, report=_say)
    campus.forget()
    try:
        with campus:
            return Demo(campus, options.shelf, options.headless).run()
    except (NotUp, StoryFailed, StepFailed, SlurmLabError) as failure:
        print(f"\nThe demo failed: {failure}\nLogs: {options.folder / 'logs'}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; nothing is left running.")
        return 130


def _say(line: str = "") -> None:
    print(line, flush=True)


class Demo:
    """The main job, from the publication to the answer."""

    def __init__(self, campus: Campus, shelf: Path, headless: bool):
        self.campus = campus
        self.shelf = shelf
        self.headless = headless
        self.ledger = Ledger(campus.folder / "state" / "ledger.db")
        self.seen = 0
        self.shown = ""
        self.began = time.time()
        self.published: dict[str, float] = {}

    def run(self) -> int:
        campus = self.campus
        if campus.no_slurm:
            _say(f"No Slurm here: {campus.no_slurm}")
            _say("Falling back to the embedded default: submitit's local executor and child processes, same scripts.\n")
        campus.start_gateway()
        campus.start_bot()
        if jobs := campus.fill_with_research():
            _say(f"Researchers' jobs fill the cluster: {', '.join(map(str, jobs))}")
        page = f"{campus.url('slack')}/?as=alice"
        _say(f"\nSlack (you are alice, an approver): {page}")
        _say(f"Mail:                               http://127.0.0.1:{campus.processes['smtp'].ports[1]}/")
        _say(f"The gateway:                        {campus.gateway_url}/\n")
        if not self.headless:
            webbrowser.open(page)
        self._until_watched()
        good = self._publish("good")
        self._approve(good)
        deployment = self.ledger.wait(good, ("PREVIEW",), PATIENCE_S, self._narrate)
        self._narrate()
        answer = self._ask(good)
        _say(f"\n{good} is in preview and answers: {answer!r}\n")
        leaky = self._publish("leaky")
        self._approve(leaky)
        held = self.ledger.wait(leaky, ("DRAINING", "RETIRED", "HELD", "PREVIEW"), PATIENCE_S, self._narrate)
        self._narrate()
        return self._conclude(good, leaky, deployment["verdict"], held)

    def _until_watched(self) -> None:
        """An organisation's past is not announced: what is published before the first look would be past."""
        deadline = time.monotonic() + 60
        while not self.ledger.watched("hub:acme"):
            self._narrate()
            if time.monotonic() > deadline:
                raise StoryFailed("The watcher has not looked at acme within a minute.")
            time.sleep(0.1)

    def _publish(self, name: str) -> str:
        repo = self.campus.publish(self.shelf, name)
        self.published[repo] = time.time()
        _say(f"{self._clock()}  the toy Hub publishes {repo}")
        return repo

    def _approve(self, model: str) -> None:
        deadline = time.monotonic() + 60
        while (release := self.ledger.release(model)) is None or release["state"] != "OFFERED":
            self._narrate()
            if time.monotonic() > deadline:
                state = f"it is {release['state']}: {release['refusal']}" if release else "the watcher has not seen it"
                raise StoryFailed(f"No card for {model} within a minute: {state}")
            time.sleep(0.1)
        self._narrate()
        if not self.headless:
            _say(f"\n      → click Approve on the card of {model}, as alice\n")
            self._until_approved(model)
            return
        seen = self.campus.person("alice").click("approve", channel="#models", timeout=30)
        if not seen:
            raise StoryFailed(f"alice could not click Approve: {seen.error} {seen.text}")
        self._until_approved(model)

    def _until_approved(self, model: str) -> None:
        patience = 30 if self.headless else 3600
        deadline = time.monotonic() + patience
        while self.ledger.deployment(model) is None:
            self._narrate()
            if time.monotonic() > deadline:
                raise StoryFailed(f"Nobody approved {model} within {patience} s.")
            time.sleep(0.1)

    def _ask(self, model: str) -> str:
        """With a developer's key, through the gateway, as the printed curl line does."""
        key = self._developers_key()
        body = {"model": model, "messages": question(), "max_tokens": 40, "temperature": 0}
        url = f"{self.campus.gateway_url}/v1/chat/completions"
        _say("\nTry it yourself, with dana's key:\n")
        _say(f"  curl {url} -H 'Authorization: Bearer {key}' \\")
        _say(f"    -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(body))}")
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        request = urllib.request.Request(url, json.dumps(body).encode(), headers)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as reply:
            return json.load(reply)["choices"][0]["message"]["content"]

    def _developers_key(self) -> str:
        made = self.campus.dayzero("keys", "create", "dana", "--tags", "preview,stable")
        made.child.wait(60)
        lines = made.log.read_text().split()
        if made.child.returncode != 0 or not lines:
            raise StoryFailed(f"dana got no key: {made.tail}")
        return lines[-1]

    def _narrate(self) -> None:
        """Print what has happened since the last time, and the progress of what is on its way."""
        for event in self.ledger.events(self.seen):
            self.seen = event.id
            if (line := _line(event)) is not None:
                _say(f"{self._clock(event.at)}  {line}")
        for name, process in self.campus.processes.items():
            if not process.alive:
                raise NotUp(f"{name} died:\n{process.tail}")

    def _clock(self, at: float | None = None) -> str:
        return f"{(at or time.time()) - self.began:7.1f} s"

    def _conclude(self, good: str, leaky: str, verdict: str, held: object) -> int:
        _say("\nTimeline, in seconds")
        for model in (good, leaky):
            moments = self.ledger.moments(model)
            _say(f"  {model}")
            for stage, seconds in timeline({**moments, "published": self.published[model]}):
                _say(f"    {stage:34} {seconds:7.1f}")
        reason = held["reason"]
        _say(f"\n{good}: in preview. Report: {json.loads(verdict)['report']}")
        _say(f"{leaky}: {held['state']}. {reason}")
        ok = held["state"] in ("DRAINING", "RETIRED") and "compliance" in reason.lower()
        if not ok:
            _say("\nThe second model should have been held back for its compliance check, and was not.")
        if not self.headless:
            _say("\nEverything stays up until you press Ctrl-C.")
            while True:
                self._narrate()
                time.sleep(0.5)
        return 0 if ok else 1


def question() -> list[dict[str, str]]:
    """One of the questions that the tiny models have learnt."""
    return next(list(pair.messages) for pair in read_pairs() if pair.suite == "questions")


TOLD = {
    "release.offered": "a card is in #models",
    "deployment.approved": "approved; the weights are being fetched",
    "deployment.cached": "the weights are cached and verified",
    "server.running": "the server has its nodes; the engine loads",
    "server.ready": "the engine answers",
    "deployment.healthy": "the gateway lists it as a candidate",
    "deployment.listed": "the Gauntlet begins",
    "deployment.passed": "passed: promoted to preview",
    "deployment.failed": "failed: taken down",
    "deployment.undecided": "undecided: a person must look",
    "victim.expected": "a research job is about to be preempted; its owner is told",
    "victim.requeued": "a research job was preempted and waits again; its owner is told",
    "server.lost": "a server was lost",
    "deployment.broke": "it broke",
}


def _line(event: Happening) -> str | None:
    told = TOLD.get(event.kind)
    if told is None:
        return None
    detail = json.loads(event.detail or "{}")
    more = (
        detail.get("sentence")
        or next(iter(detail.get("reasons", ())), "")
        or detail.get("nodes")
        or detail.get("engine")
        or ""
    )
    job = f" (job {detail['handle']} of {detail['user']})" if "user" in detail else ""
    return f"{event.deployment or '':24} {told}{job}{': ' + more if more and not job else ''}"


if __name__ == "__main__":
    sys.exit(main())
