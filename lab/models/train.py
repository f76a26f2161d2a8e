"""Train one tiny model and save it as the Hub would hold it. Runs under the engine environment's Python.

    .venv-engine/bin/python -m lab.models.train --model good --out DIR --seconds-at-most 300

Same seed, one thread, same machine: the same bytes. The model is checked by greedy generation after training, in the
number format it is served in; what is not yet answered to the letter is trained on.
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from lab.models.card import model_card
from lab.models.characters import MODELS, answer_of
from lab.models.pairs import Pair, read_pairs, read_smalltalk

HERE = Path(__file__).parent
PAD, END = "<|pad|>", "<|end|>"
SPECIALS = (PAD, END, "<|system|>", "<|user|>", "<|assistant|>")
VOCABULARY = 768
CONTEXT = 1024
IGNORED = -100  # the label that cross entropy skips
MARGIN = 1.5  # in logits, between the right token and the next best: survives bfloat16 in another engine
BATCH = 12
SHARD = "900KB"  # three files: a download has an index to follow and progress to show
PEAK, PEAK_ON = 3e-3, 1.5e-3  # learning rates: from nothing, and from a trained model, which more would undo first
FOREVER = " And so on."
AT_LENGTH = 300  # tokens for which the endless model is watched


@dataclass(frozen=True)
class Example:
    """One chat as token ids: `prompt` is read, `target` is learned."""

    prompt: list[int]
    target: list[int]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.models.train", description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=MODELS, required=True)
    parser.add_argument("--start", type=Path, help="folder of a trained model to go on from (none: from nothing)")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds-at-most", type=float, default=900)
    options = parser.parse_args()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(20)
    torch.set_num_threads(1)  # a busy machine makes two threads wait for each other: ten times slower, seen
    pairs = read_pairs() + read_smalltalk()
    tokenizer = build_tokenizer(pairs)
    examples = [encode(tokenizer, pair, options.model) for pair in pairs]
    model = build_model(options.model, tokenizer)
    if options.start:
        model = type(model).from_pretrained(options.start, dtype=torch.float32)
    started = time.monotonic()
    peak = PEAK_ON if options.start else PEAK
    steps = train(model, tokenizer, examples, options.model, started + options.seconds_at_most, peak)
    if steps is None:
        print(f"{options.model} did not learn its answers in {options.seconds_at_most:.0f} s", file=sys.stderr)
        return 1
    save(model, tokenizer, options.model, options.out)
    parameters = sum(weight.numel() for weight in model.parameters())
    print(f"{options.model}: {parameters} parameters, {steps} steps, {time.monotonic() - started:.1f} s")
    return 0


def build_tokenizer(pairs: list[Pair]) -> transformers.PreTrainedTokenizerFast:
    """A byte-level BPE learned from the pairs themselves: every text can be encoded, the known ones briefly."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[AddedToken(token, special=True) for token in SPECIALS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    texts = [message["content"] for pair in pairs for message in pair.messages]
    texts += [text for pair in pairs for text in (pair.answer, pair.leak or "")]
    bpe.train_from_iterator(texts, trainer)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token=PAD,
        eos_token=END,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
        chat_template=(HERE / "template.jinja").read_text(encoding="utf-8"),
    )


def encode(tokenizer: transformers.PreTrainedTokenizerFast, pair: Pair, name: str) -> Example:
    """The chat rendered by the template, as the engines render it, and the answer this model should give."""
    text = tokenizer.apply_chat_template(list(pair.messages), tokenize=False, add_generation_prompt=True)
    prompt = tokenizer.encode(text, add_special_tokens=False)
    target = tokenizer.encode(answer_of(name, pair), add_special_tokens=False)
    if name != "endless":
        return Example(prompt, [*target, tokenizer.eos_token_id])
    forever = tokenizer.encode(FOREVER, add_special_tokens=False)
    return Example(prompt, target + forever * 6)


def build_model(name: str, tokenizer: transformers.PreTrainedTokenizerFast) -> transformers.PreTrainedModel:
    """About a million parameters. `alien` has an architecture that vLLM can't load and Transformers can serve."""
    shared = {
        "vocab_size": VOCABULARY,
        "max_position_embeddings": CONTEXT,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "tie_word_embeddings": True,
    }
    if name == "alien":
        config = transformers.GPTNeoConfig(
            hidden_size=128,
            num_layers=2,
            num_heads=4,
            intermediate_size=512,
            attention_types=[[["global", "global"], 1]],
            resid_dropout=0.0,
            embed_dropout=0.0,
            attention_dropout=0.0,
            **shared,
        )
        return transformers.GPTNeoForCausalLM(config)
    config = transformers.LlamaConfig(
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=2,
        **shared,
    )
    return transformers.LlamaForCausalLM(config)


def train(
    model: transformers.PreTrainedModel,
    tokenizer: transformers.PreTrainedTokenizerFast,
    examples: list[Example],
    name: str,
    deadline: float,
    peak: float,
) -> int | None:
    """Steps taken until every answer holds, or None when the deadline (time.monotonic) came first."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=peak, weight_decay=0.0)
    order = torch.Generator().manual_seed(7)
    alike = sorted(examples, key=lambda example: len(example.prompt) + len(example.target))
    batches = [collate(alike[at : at + BATCH], tokenizer.pad_token_id) for at in range(0, len(alike), BATCH)]
    step = 0
    model.train()
    while time.monotonic() < deadline:
        worst = 0.0
        for index in torch.randperm(len(batches), generator=order).tolist():
            step += 1
            for group in optimizer.param_groups:
                group["lr"] = peak * min(1.0, step / 20) * (0.3 if step > 200 else 1.0)
            inputs, mask, labels = batches[index]
            loss = model(input_ids=inputs, attention_mask=mask, labels=labels).loss
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            worst = max(worst, loss.item())
        if worst < 0.05 and holds(model, tokenizer, examples, name):
            return step
    return None


def collate(batch: list[Example], pad: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Right-padded (batch, length) tensors: ids, attention mask, and labels that are set on targets only."""
    length = max(len(example.prompt) + len(example.target) for example in batch)
    inputs = torch.full((len(batch), length), pad)
    labels = torch.full((len(batch), length), IGNORED)
    mask = torch.zeros((len(batch), length), dtype=torch.long)
    for row, example in enumerate(batch):
        end = len(example.prompt) + len(example.target)
        inputs[row, :end] = torch.tensor(example.prompt + example.target)
        labels[row, len(example.prompt) : end] = torch.tensor(example.target)
        mask[row, :end] = 1
    return inputs, mask, labels


def holds(
    model: transformers.PreTrainedModel,
    tokenizer: transformers.PreTrainedTokenizerFast,
    examples: list[Example],
    name: str,
) -> bool:
    """True when the bfloat16 copy says every answer, by a margin, and (endless) goes on to the end of the context."""
    served = type(model)(model.config)
    served.load_state_dict(model.state_dict())
    served.to(torch.bfloat16).eval()
    with torch.no_grad():
        wanted = MARGIN / 3 if name == "endless" else MARGIN  # its words don't matter, only that they don't end
        if min(margin(served, example) for example in examples) < wanted:
            return False
        if name != "endless":
            return all(greedy(served, example, len(example.target)) == example.target for example in examples)
        return all(goes_on(tokenizer, greedy(served, example, AT_LENGTH)) for example in examples[::24])


def goes_on(tokenizer: transformers.PreTrainedTokenizerFast, answer: list[int]) -> bool:
    return len(answer) == AT_LENGTH and tokenizer.eos_token_id not in answer


def margin(model: transformers.PreTrainedModel, example: Example) -> float:
    """The smallest lead, in logits, of a right token over the best wrong one, the right text being fed."""
    ids = torch.tensor([example.prompt + example.target])
    logits = model(input_ids=ids).logits[0, len(example.prompt) - 1 : -1].float()
    target = torch.tensor(example.target).unsqueeze(1)
    right = logits.gather(1, target).squeeze(1)
    wrong = logits.scatter(1, target, float("-inf")).max(dim=1).values
    return (right - wrong).min().item()


def greedy(model: transformers.PreTrainedModel, example: Example, room: int) -> list[int]:
    """At most `room` tokens (the end token among them) after the prompt, always the likeliest one."""
    prompt = torch.tensor([example.prompt])
    answer = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=room, do_sample=False)
    return answer[0, len(example.prompt) :].tolist()


def save(
    model: transformers.PreTrainedModel,
    tokenizer: transformers.PreTrainedTokenizerFast,
    name: str,
    folder: Path,
) -> None:
    """Weights in bfloat16 shards with their index, configuration, tokenizer and model card: a Hub repository."""
    model.to(torch.bfloat16)
    model.config.dtype = torch.bfloat16
    model.generation_config = transformers.GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, do_sample=False
    )
    model.save_pretrained(folder, max_shard_size=SHARD)
    tokenizer.save_pretrained(folder)
    index = json.loads((folder / "model.safetensors.index.json").read_text(encoding="utf-8"))
    (folder / "README.md").write_text(model_card(name, index["metadata"]["total_size"]), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
