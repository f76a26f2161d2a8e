"""Where quantized copies are made: does quantize.command start a Python that has llm-compressor?"""

import subprocess

from bot.checks.result import Found
from lifecycle.settings import Settings

ASK = "import importlib.metadata as found; print(found.version('llmcompressor'))"
LIMIT_S = 15.0


def quantize(settings: Settings) -> Found:
    """As this host sees it: nodes must see the same. Asks for the version only; importing it takes longer than this."""
    command = settings.quantize.command
    if not command:
        return Found(None, "quantize.command is empty: only official quantized copies, or FP8 while vLLM loads.")
    advice = "Mend quantize.command (docs/swap.md). A program that only the nodes have can't be seen from here."
    try:
        done = subprocess.run(
            [*command, "-c", ASK], capture_output=True, text=True, timeout=LIMIT_S, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        why = error.strerror if isinstance(error, OSError) else f"it gives no answer within {LIMIT_S:g} s"
        return Found(False, f"{command[0]} can't be started: {why}.", advice)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it gives no reason"])[-1][:200]
        return Found(False, f"{command[0]} has no llm-compressor: {last}.", advice)
    where = f"on {settings.quantize.gpus} GPU(s)" if settings.quantize.gpus else "on CPUs"
    return Found(True, f"llm-compressor {done.stdout.strip()[:40]} makes quantized copies, {where}.")
