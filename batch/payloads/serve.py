"""The node launcher: `python -m batch.payloads.serve --run-folder RUN --server N`, once, on the first node of the job.

Reads RUN/servers/N/launch.json, starts an engine on every node, and keeps RUN/servers/N/ true: heartbeat.json all the
time, endpoint.json from the first real answer until SIGTERM, failure.json when nothing could serve the model. Standard
library only; DAYZERO_LOCAL=1 means there is no srun.

Exit status: 0 told to end, and ended; 1 a person must act first; 75 worth trying again.
"""

import argparse
import signal
import sys
import traceback
from pathlib import Path

from batch.payloads.launch.allocation import Allocation, this_job
from batch.payloads.launch.claim import other_job
from batch.payloads.launch.failures import Failure
from batch.payloads.launch.ladder import Ladder
from batch.payloads.launch.order import BadOrder, Order, read_order
from batch.payloads.launch.ports import NoPorts
from batch.payloads.launch.report import Report
from batch.payloads.launch.running import Run, Signals


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Serve a model on the nodes of this job.")
    parser.add_argument("--run-folder", type=Path, required=True)
    parser.add_argument("--server", type=int, required=True)
    options = parser.parse_args(argv)
    signals = Signals()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signals.ask)
    signal.signal(signal.SIGUSR1, signals.warn)
    folder = options.run_folder.absolute() / "servers" / str(options.server)
    allocation = this_job()
    folder.mkdir(parents=True, exist_ok=True)
    if other := other_job(folder, allocation.job):  # nothing is written there: it is the other's
        print(f"Job {other} serves from {folder} already. Wait for its end, or use another --server.", file=sys.stderr)
        return 1
    report = Report(folder, allocation)
    report.begin()
    failure = serve(folder, allocation, report, signals)
    if failure is None:
        return 0
    report.failed(failure, rung=0 if not failure.log else int(failure.log.split("-")[0]))
    return 75 if failure.retryable else 1


def serve(folder: Path, allocation: Allocation, report: Report, signals: Signals) -> Failure | None:
    """None when told to end. Whatever goes wrong, ourselves included, comes back as a Failure."""
    try:
        order = read_order(folder / "launch.json")
        _fits(order, allocation)
        return Ladder(Run(order, allocation, folder, report, signals)).walk()
    except BadOrder as error:
        return Failure("order", f"{error}.", False, "Mend launch.json, or let the service write it again.")
    except NoPorts as error:
        return Failure("port", f"There is {error}.", True, "Look at what runs on the node.")
    except OSError as error:
        return Failure(
            "node", f"The node says: {error}.", True, "Look at the job's output.", "", traceback.format_exc()
        )
    except Exception as error:
        said = f"The launcher itself failed: {type(error).__name__}: {error}."
        return Failure(
            "launcher", said, False, "That is a mistake in the program: report it.", "", traceback.format_exc()
        )


def _fits(order: Order, allocation: Allocation) -> None:
    if order.shape.nodes > len(allocation.nodes):
        raise BadOrder(f"launch.json asks for {order.shape.nodes} nodes, and the job has {len(allocation.nodes)}")


if __name__ == "__main__":
    sys.exit(main())
