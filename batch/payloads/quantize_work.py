"""Makes the quantized copy; runs in the environment that has llm-compressor, started by batch.payloads.quantize.

`python -m batch.payloads.quantize_work SOURCE TARGET SCHEME --group-size N --sample-tokens N [--calibration FILE]`

The only file that imports llm-compressor. Reads and writes folders, and runs no code of the model's repository. Lines
`dayzero: done/total note` on stdout say how far it is.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

KEPT_WHOLE = ["lm_head", "re:.*lm_head", "re:.*router.*", "re:.*mlp[.]gate$", "re:.*vision.*", "re:.*visual.*"]
"""Layers that every published recipe leaves as they are: they are small, or lose too much."""

STEP = re.compile(r"\((\d+)/(\d+)\): (\w+)")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Make a quantized copy of a model with llm-compressor.")
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("scheme", choices=sorted(RECIPES))
    parser.add_argument("--group-size", type=int, default=128)
    parser.add_argument("--sample-tokens", type=int, default=1024)
    parser.add_argument("--calibration", type=Path)
    options = parser.parse_args(argv)
    say(0, 1, "loading the model")
    sys.stderr = Telling(sys.stderr)
    make(options)
    return 0


def say(done: int, total: int, note: str) -> None:
    print(f"dayzero: {done}/{total} {note}", flush=True)


class Telling:
    """stderr that also says how far the layers are: llm-compressor tells it in progress bars only."""

    def __init__(self, wrapped: TextIO):
        self._wrapped = wrapped
        self._last = ""

    def write(self, text: str) -> int:
        if (found := STEP.search(text)) and found[0] != self._last:
            self._last = found[0]
            say(int(found[1]) - 1, int(found[2]), f"{found[3].lower()} part {found[1]} of {found[2]}")
        return self._wrapped.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)


def make(options: argparse.Namespace) -> None:
    import torch
    from llmcompressor import oneshot
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if not torch.accelerator.is_available():
        # AWQ pins its inputs for the way to a GPU, and dies where there is none to pin for
        torch.Tensor.pin_memory = lambda tensor, *_: tensor
    where = {"local_files_only": True, "trust_remote_code": False}
    model = AutoModelForCausalLM.from_pretrained(options.source, dtype="auto", **where)
    given: dict[str, Any] = {}
    if options.calibration is not None:
        tokenizer = AutoTokenizer.from_pretrained(options.source, **where)
        samples = calibration(options.calibration, tokenizer, options.sample_tokens)
        given = {"tokenizer": tokenizer, "dataset": samples, "num_calibration_samples": len(samples)}
        given["max_seq_length"] = options.sample_tokens
    say(0, 1, "quantizing")
    oneshot(model=model, recipe=RECIPES[options.scheme](options.group_size), **given)
    say(1, 1, "writing the weights")
    model.save_pretrained(options.target, save_compressed=True)


def calibration(path: Path, tokenizer: Any, tokens: int) -> Any:
    """The chats of the file, one JSON list of messages a line, as the model sees them."""
    from datasets import Dataset

    chats = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    texts = [_as_text(chat, tokenizer) for chat in chats]
    rows = [tokenizer(text, truncation=True, max_length=tokens, add_special_tokens=False) for text in texts]
    return Dataset.from_list([{key: row[key] for key in ("input_ids", "attention_mask")} for row in rows])


def _as_text(chat: list[dict[str, str]], tokenizer: Any) -> str:
    if tokenizer.chat_template:
        return tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    return "\n".join(message["content"] for message in chat)


def _fp8(group_size: int) -> Any:
    from llmcompressor.modifiers.quantization import QuantizationModifier

    return QuantizationModifier(targets="Linear", scheme="FP8_DYNAMIC", ignore=KEPT_WHOLE)


def _four_bits(group_size: int, symmetric: bool) -> dict[str, Any]:
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme

    weights = QuantizationArgs(num_bits=4, type="int", symmetric=symmetric, strategy="group", group_size=group_size)
    return {"group_0": QuantizationScheme(targets=["Linear"], weights=weights)}


def _awq(group_size: int) -> Any:
    from llmcompressor.modifiers.awq import AWQModifier

    return AWQModifier(config_groups=_four_bits(group_size, symmetric=False), ignore=KEPT_WHOLE)


def _gptq(group_size: int) -> Any:
    from llmcompressor.modifiers.quantization import GPTQModifier

    return GPTQModifier(config_groups=_four_bits(group_size, symmetric=True), ignore=KEPT_WHOLE)


RECIPES: dict[str, Callable[[int], Any]] = {"fp8": _fp8, "awq": _awq, "gptq": _gptq}

if __name__ == "__main__":
    sys.exit(main())
