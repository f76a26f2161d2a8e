"""The bot's parts over the lab's real servers in this process: Hub, Slack, mail; no jobs run."""

import contextlib
import tomllib
from pathlib import Path

from bot.slack.chat import Chat
from bot.world import Parts, build
from lab.campus import config
from lab.github.server import GitHub
from lab.hub.server import Hub
from lab.slack.person import words
from lab.slack.seed import Seed
from lab.slack.server import Workspace
from lab.smtp.server import Sink
from lifecycle import settings
from lifecycle.jobs import Victim

SECRETS = {"SLACK_BOT_TOKEN": "xoxb-lab", "SLACK_APP_TOKEN": "xapp-lab"}
MODEL = "acme/tiny"
PATIENT = Seed(ack_within=60, trigger_lives=60)
"""Slack gives three seconds; how soon we answer is not what these tests are about, and the machine may be busy."""

TINY = {
    "config.json": '{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 128, '
    '"intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, '
    '"vocab_size": 2000, "max_position_embeddings": 1024, "torch_dtype": "bfloat16"}',
    "README.md": "---\nlicense: apache-2.0\n---\n# Tiny\n",
}

BOB = Victim(handle="17", name="pretrain *now*", user="games", node_count=1, gpus=1, ran_s=7200)


def weights(size: int = 1_800_000) -> bytes:
    """A safetensors file of one bfloat16 tensor."""
    header = b'{"w":{"dtype":"BF16","shape":[%d],"data_offsets":[0,%d]}}' % (size // 2, size)
    return len(header).to_bytes(8, "little") + header + bytes(size)


class Office:
    """Start and stop the parts, publish, restart the bot. `chat` is the bot's side of Slack and mail."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack):
        self.folder = folder
        self.hub = stack.enter_context(Hub(folder / "hub"))
        self.github = stack.enter_context(GitHub())
        for repo in ("vllm-project/vllm", "huggingface/transformers"):
            self.github.add_repo(repo)
        self.slack = stack.enter_context(Workspace(folder / "slack", seed=PATIENT))
        self.mail = stack.enter_context(Sink(folder / "mail"))
        self.alice, self.bob = self.slack.person("alice"), self.slack.person("bob")
        at = config.Addresses(
            hub=self.hub.url, github=self.github.url, slack_api=self.slack.api_url, mail_port=self.mail.port,
            judge="http://127.0.0.1:9", gateway_port=9,
        )  # fmt: skip
        text = config.settings(
            folder, at, slurm=False, engine=folder, research_user="games", gpu_memory=2_000_000, ladder=["vllm"]
        )
        self.settings = settings.parse(tomllib.loads(text), folder / "dayzero.toml", SECRETS)
        self.start()

    def start(self) -> None:
        self.parts: Parts = build(self.settings)
        self.chat = Chat(self.parts)

    def restart(self) -> None:
        """As after a kill: nothing but the ledger and the world outside remains."""
        self.stop()
        self.start()

    def stop(self) -> None:
        self.chat.close()
        self.parts.close()

    def publish(self, repo: str = MODEL, **more: str) -> None:
        self.hub.publish({**TINY, "model.safetensors": weights(), **more}, repo)

    def look(self) -> None:
        """The watcher looks, whatever the time, and Slack is told."""
        ledger = self.parts.ledger
        with ledger.write() as db:
            db.execute("UPDATE watches SET due_at = 0")
        self.parts.watch()
        self.chat.tell()


def answered(office: Office, expected: str) -> dict:
    """What alice alone is told."""
    return office.alice.sees("#models", lambda m: expected in words(m) and m.get("ephemeral_to"), timeout=60)
