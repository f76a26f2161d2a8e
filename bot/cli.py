"""`dayzero`: the same verbs as in Slack, and those of the operator. Every answer also as JSON (`--json`)."""

import contextlib
import io
import json
import logging
import os
import sqlite3
import sys
from argparse import Namespace

from bot.arguments import WrongWords, parser
from lifecycle.errors import DayzeroError, Permanent, Transient

DONE, GIVE_UP, WRONG_WORDS, TRY_AGAIN = 0, 1, 2, 75
"""Exit statuses. 75 is EX_TEMPFAIL: trying again may help; 1: a person must change something first."""

QUIET = ("httpx", "slack_bolt", "slack_sdk", "huggingface_hub")


def main(argv: list[str] | None = None) -> int:
    """Parse, run, print. Returns the exit status."""
    words = sys.argv[1:] if argv is None else argv
    as_json = "--json" in words
    try:
        options = parser(gauntlet="gauntlet" in words).parse_args(words)
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr)
        for noisy in QUIET:
            logging.getLogger(noisy).setLevel(logging.WARNING)
        return _gauntlet(options) if options.verb == "gauntlet" else _run(options)
    except DayzeroError as error:
        return _fail(error, as_json)
    except sqlite3.Error as error:
        return _fail(_database(error), as_json)
    except BrokenPipeError:  # the reader of our output left: no word about it, not at the end of the process either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13
    except OSError as error:
        return _fail(Permanent(f"{error.filename or 'The system'}: {error.strerror or error}.", "Mend that."), as_json)
    except KeyboardInterrupt:
        return 128 + 2


def _run(options: Namespace) -> int:
    from bot.verbs.table import VERBS  # brings the ledger and the settings: after the words are known to be good

    answer = VERBS[options.verb](options)
    if isinstance(answer, int):
        return answer
    print(json.dumps(answer.data, indent=2, default=str) if options.json else answer.text, flush=True)
    return DONE if answer.ok else GIVE_UP


def _gauntlet(options: Namespace) -> int:
    """The Gauntlet prints for people; as JSON its lines are an array, with its exit status beside them."""
    if not options.json:
        return options.run(options)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        status = options.run(options)
    print(json.dumps({"status": status, "lines": said.getvalue().splitlines()}, indent=2))
    return status


def _fail(error: DayzeroError, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"error": str(error), "next_step": error.next_step, "retryable": error.retryable}))
    else:
        print(f"dayzero: {error.advice}", file=sys.stderr)
    if isinstance(error, WrongWords):
        return WRONG_WORDS
    return TRY_AGAIN if isinstance(error, Transient) else GIVE_UP


def _database(error: sqlite3.Error) -> DayzeroError:
    if "locked" in str(error) or "busy" in str(error):
        return Transient(f"The ledger is busy: {error}.", "Try again in a moment.")
    return Permanent(f"The ledger can't be used: {error}.", "`dayzero check ledger` says more.")


if __name__ == "__main__":
    sys.exit(main())
