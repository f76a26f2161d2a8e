"""The events that leave the house as webhooks, each with what it means. The docs' table is drawn from this one."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from bot.words import nearest
from lifecycle.errors import BadSettings

CATALOGUE: dict[str, str] = {
    "release.found": "something new was seen upstream",
    "release.offered": "its weights are complete; a card shows its plan, or why there is none",
    "release.approved": "a person approved its plan",
    "release.skipped": "a person decided against it",
    "release.snoozed": "a person wants to be asked later",
    "release.woke": "it is asked again",
    "release.reopened": "it may be decided about once more",
    "release.pushed": "a new commit came before anybody decided; it is looked at afresh",
    "release.renamed": "it has another name upstream",
    "release.withdrawn": "it is gone upstream",
    "release.returned": "the same commit is public again",
    "deployment.approved": "a deployment was made of an approved plan",
    "deployment.cached": "the weights are on the shared file system",
    "deployment.healthy": "a first answer came back",
    "deployment.listed": "the gateway has it as candidate; the Gauntlet begins",
    "deployment.passed": "it is in preview: by its verdict, or by a person's word",
    "deployment.failed": "it is not good enough and is taken down",
    "deployment.undecided": "the verdict is INCONCLUSIVE: a person must decide",
    "deployment.retested": "a person sends it through the Gauntlet again",
    "deployment.promoted": "a person moved it to stable",
    "deployment.demoted": "a person moved it back to preview",
    "deployment.superseded": "its successor took over; it drains",
    "deployment.cancelled": "a person ends it; it drains",
    "deployment.broke": "it stopped and waits for a person",
    "deployment.retried": "a person tries again where it broke",
    "deployment.drained": "everything is given back",
    "swap.wanted": "a deployment is to take the place of another",
    "swap.began": "the successor answers a first share of the requests",
    "swap.stepped": "it was as good as the elder and answers more",
    "swap.took_over": "it answers all; the elder is kept for a while",
    "swap.halted": "it was worse: the elder has all requests again, a person must decide",
    "swap.resumed": "a person gives it another try",
    "swap.rolled_back": "a person took it back: the elder has all requests again",
    "swap.returned": "nothing is led to the successor any more; it drains",
    "swap.finished": "the elder's keep time is over; it drains",
    "swap.lost": "the successor ended before it took over",
    "swap.alone": "the elder ended; the successor answers to its names",
    "server.wanted": "a server is needed",
    "server.submitted": "its job is in Slurm's queue",
    "server.running": "Slurm gave it nodes; the engine loads",
    "server.ready": "it answers",
    "server.requeued": "Slurm put its job back into the queue",
    "server.sick": "it does not answer and is off the list",
    "server.recovered": "it answers again",
    "server.drain": "it is told to finish its answers and go",
    "server.gone": "its job has ended as it was told to",
    "server.lost": "its job has ended by itself",
    "victim.expected": "a research job may be preempted",
    "victim.requeued": "a research job was preempted and waits again",
    "victim.cancelled": "a research job was preempted and must be resubmitted",
    "victim.suspended": "a research job is suspended",
    "victim.resumed": "a research job runs again",
    "victim.spared": "a research job was not needed",
    "image.wanted": "an image (or an overlay) is to be built",
    "image.submitted": "its build job is in Slurm's queue",
    "image.built": "it is built, and a tiny model has answered in it",
    "image.failed": "it can't be built, or nothing answers in it",
    "note.promise": "a model is late on its way to preview: why, and what would help",
    "note.variant": "an official quantized variant of a deployed model is out: a swap is proposed",
    "note.ending": "the time that a deployment was approved for is over soon",
    "note.extended": "a person lets it serve longer",
    "note.dry_run": "during the download: does the engine know the architecture?",
    "note.asleep": "nobody asks for it, or a person wants it so: it has no server until it is woken",
    "note.woken": "it gets its servers again: somebody asked, its hours begin, or a person wants it so",
    "note.scaled": "one server more or fewer, by load",
    "note.guarded": "a guard rail holds a server back for now: which, and until when",
    "note.scheduler_silent": "Slurm gives no answer",
    "note.scheduler_back": "Slurm answers again",
    "note.watch_failed": "a source can't be watched",
    "note.watch_back": "a source that could not be watched answers again",
    "note.renamed": "a deployed model has another name upstream",
    "note.gone": "a deployed model is gone upstream",
    "note.retry_offered": "a framework's release may mend a deployment that waits for it",
    "note.update": "a deployed model has a new revision upstream: an update is proposed",
}


def wanted(kind: str, patterns: Sequence[str]) -> bool:
    """Does a hook with these patterns get this event?"""
    return kind in CATALOGUE and any(fnmatchcase(kind, pattern) for pattern in patterns)


def checked(key: str, patterns: Sequence[str]) -> None:
    """BadSettings for a pattern that no event can match; `key` of the settings holds it."""
    for pattern in patterns:
        if not any(fnmatchcase(kind, pattern) for kind in CATALOGUE):
            advice = nearest(pattern, list(CATALOGUE)) or "docs/webhooks.md lists them."
            raise BadSettings(f"{key}: no event is called {pattern!r}.", advice)
