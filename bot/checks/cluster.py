"""Slurm: does it answer, do our partition, GPUs, account and QOS exist, and may our QOS really preempt?"""

import getpass
import time
from dataclasses import replace

from batch.scheduler import choose, commands
from batch.scheduler.commands import Run, said
from bot.checks.result import Found
from bot.checks.slurm_words import preemption_found, records, second_pair, table, value
from bot.words import nearest
from lifecycle.errors import SchedulerSilent
from lifecycle.settings import Settings

NO_SLURM = Found(None, "cluster.kind is local: there is no Slurm to ask.")
NO_ACCOUNTING = "not running a supported accounting_storage plugin"


def _ask(run: Run, settings: Settings, *argv: str) -> str:
    """What the command prints; SchedulerSilent in its own words when it fails."""
    answer = run(list(argv), settings.cluster.command_timeout_s)
    if answer.code:
        raise SchedulerSilent(f"{argv[0]} failed: {said(answer)}.", "Is slurmctld up, and is SLURM_CONF right here?")
    return answer.out


def scheduler(settings: Settings, run: Run = commands.run) -> Found:
    """Its version, by which way we read it, how fast it is."""
    began = time.monotonic()
    slurm = choose(settings)
    snapshot = slurm.snapshot(set())
    took = time.monotonic() - began
    if not snapshot.ok:
        return Found(False, snapshot.silence, "Is slurmctld up (`scontrol ping`), and is SLURM_CONF right here?")
    if settings.cluster.kind == "local":
        return Found(True, f"No Slurm: jobs are child processes of this host, {settings.cluster.local_slots} at once.")
    version = _ask(run, settings, "sinfo", "--version").split()[-1]
    read = f"read by squeue and sacct as {slurm.reader.name} in {took:.2f} s"
    return Found(True, f"Slurm {version} answers, {read}, {len(snapshot.jobs)} jobs in its queue.")


def partition(settings: Settings, run: Run = commands.run) -> Found:
    if settings.cluster.kind == "local":
        return NO_SLURM
    known = {row["PartitionName"]: row for row in records(_ask(run, settings, "scontrol", "-o", "show", "partition"))}
    for key in ("partition", "light_partition"):
        name = getattr(settings.cluster, key)
        if name and name not in known:
            advice = f"Set cluster.{key} to one of {', '.join(known)}. {nearest(name, list(known))}".strip()
            return Found(False, f"Slurm has no partition {name!r}.", advice)
        if name and known[name].get("State") != "UP":
            return Found(
                False,
                f"The partition {name} is {known[name].get('State')}.",
                f"scontrol update PartitionName={name} State=UP",
            )
    row = known[settings.cluster.partition]
    return Found(
        True, f"{settings.cluster.partition} is up: {row.get('TotalNodes')} nodes, MaxTime {row.get('MaxTime')}."
    )


def gpus(settings: Settings, run: Run = commands.run) -> Found:
    """Does a node of the partition have each GPU type of the settings, and as many?"""
    if settings.cluster.kind == "local":
        return NO_SLURM
    shown = _ask(run, settings, "sinfo", "-h", "-p", settings.cluster.partition, "-o", "%G").split()
    there = {word.partition("(")[0] for line in shown for word in line.split(",") if word.startswith("gpu")}
    for name, gpu in settings.cluster.gpus.items():
        counts = [int(words[-1]) for g in there if (words := g.split(":"))[-1].isdigit() and gpu.gres in ("", words[1])]
        if not counts:
            advice = f"Set cluster.gpus.{name}.gres to the middle of one of: {', '.join(sorted(there)) or 'none'}."
            return Found(
                False, f"No node of {settings.cluster.partition} has GPUs named {gpu.gres or 'gpu'!r}.", advice
            )
        if max(counts) < gpu.per_node:
            advice = f"Set cluster.gpus.{name}.per_node = {max(counts)}."
            return Found(False, f"A node has at most {max(counts)} of {name}, not {gpu.per_node}.", advice)
    return Found(True, f"{settings.cluster.partition} has {', '.join(sorted(there))}.")


def account(settings: Settings, run: Run = commands.run) -> Found:
    """May the user who runs this use that account with these QOS?"""
    if settings.cluster.kind == "local":
        return NO_SLURM
    cluster, user = settings.cluster, getpass.getuser()
    fields = ("Account", "QOS", "DefaultQOS")
    try:
        text = _ask(
            run, settings, "sacctmgr", "-nP", "show", "assoc", "where", f"user={user}", f"format={','.join(fields)}"
        )
    except SchedulerSilent as silence:
        if NO_ACCOUNTING in str(silence) and not (cluster.account or cluster.qos):
            return Found(None, "This Slurm keeps no accounts.")
        raise
    rows = [row for row in table(text, fields) if cluster.account in ("", row["Account"])]
    wanted = [name for name in (cluster.qos, cluster.light_qos) if name]
    if not rows:
        name = cluster.account or "serving"
        mend = f"sacctmgr add account {name}\nsacctmgr add user {user} account={name}"
        return Found(False, f"{user} has no association with the account {cluster.account or '(any)'}.", mend)
    missing = [name for name in wanted if not any(name in row["QOS"].split(",") for row in rows)]
    if missing:
        names = ",".join(missing)
        where = f"name={user}" + (f" account={cluster.account}" if cluster.account else "")
        mend = f"sacctmgr modify user where {where} set QOS+={names}"
        return Found(False, f"{user} may not use the QOS {names}.", f"If it exists: {mend}")
    accounts = ", ".join(sorted({row["Account"] for row in rows}))
    return Found(True, f"{user} may use the account {accounts} with {', '.join(wanted) or 'its own QOS'}.")


def preemption(settings: Settings, run: Run = commands.run) -> Found:
    """Is our QOS allowed to evict, whom, and what happens to them?"""
    if settings.cluster.kind == "local":
        return NO_SLURM
    if not settings.cluster.qos:
        return Found(None, "cluster.qos is empty: our jobs wait like everybody's.")
    config = _ask(run, settings, "scontrol", "show", "config")
    fields = ("Name", "Preempt", "PreemptMode", "GraceTime", "Priority")
    text = _ask(run, settings, "sacctmgr", "-nP", "show", "qos", f"format={','.join(fields)}")
    types = value(config, "PreemptType"), value(config, "PreemptMode")
    rows = table(text, fields)
    found = preemption_found(settings.cluster.qos, *types, rows)
    return replace(found, sentence=found.sentence + second_pair(config, rows)) if found.ok else found
