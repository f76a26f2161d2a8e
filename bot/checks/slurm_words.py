"""What Slurm's configuration says about preemption, read from the text of its commands. Pure."""

from collections.abc import Mapping, Sequence

from bot.checks.result import Found

RESTART = "then restart slurmctld"


def records(text: str) -> list[dict[str, str]]:
    """The lines of `scontrol -o show …`: words key=value."""
    return [
        dict(word.split("=", 1) for word in line.split() if "=" in word) for line in text.splitlines() if line.strip()
    ]


def table(text: str, fields: Sequence[str]) -> list[dict[str, str]]:
    """The lines of `sacctmgr -nP`: as many cells as were asked for."""
    rows = [line.split("|") for line in text.splitlines()]
    return [dict(zip(fields, row, strict=True)) for row in rows if len(row) == len(fields)]


def value(config: str, key: str) -> str:
    """One key of `scontrol show config`; empty where it is not there."""
    for line in config.splitlines():
        name, _, rest = line.partition("=")
        if name.strip() == key:
            return rest.strip()
    return ""


HASTY_S = 10
"""Slurm chooses a second pair about so long after the first began to end."""


def preemption_found(qos: str, kind: str, mode: str, rows: Sequence[Mapping[str, str]]) -> Found:
    """`kind` and `mode`: PreemptType and PreemptMode of the cluster; `rows`: all QOS."""
    by_name = {row["Name"]: row for row in rows}
    if kind == "preempt/partition_prio":
        sentence = (
            "Partitions preempt by PriorityTier here, not QOS; whom a submission evicts is forecast all the same."
        )
        return Found(True, sentence)
    if kind != "preempt/qos":
        mend = f"in slurm.conf: PreemptType=preempt/qos\nin slurm.conf: PreemptMode=REQUEUE\n{RESTART}"
        return Found(False, f"Nothing preempts on this cluster: PreemptType is {kind or 'not set'}.", mend)
    if "OFF" in mode.upper():
        return Found(False, "PreemptMode of the cluster is OFF.", f"in slurm.conf: PreemptMode=REQUEUE\n{RESTART}")
    if qos not in by_name:
        victims = _likely_victims(qos, by_name)
        mend = f"sacctmgr add qos {qos} Priority=1000 Preempt={victims} PreemptMode=requeue"
        return Found(False, f"There is no QOS {qos}.", mend)
    victims = [name for name in by_name[qos]["Preempt"].split(",") if name]
    if not victims:
        mend = f"sacctmgr modify qos {qos} set Preempt={_likely_victims(qos, by_name)}"
        return Found(False, f"The QOS {qos} may preempt nobody: its jobs wait for free nodes.", mend)
    modes = {name: _effective(by_name.get(name, {}).get("PreemptMode", ""), mode) for name in victims}
    if off := [name for name, how in modes.items() if how == "off"]:
        mend = "\n".join(f"sacctmgr modify qos {name} set PreemptMode=requeue" for name in off)
        return Found(False, f"Jobs of the QOS {', '.join(off)} are not preempted: their PreemptMode is off.", mend)
    words = [f"{name} ({how}, GraceTime {_grace(by_name.get(name, {}))})" for name, how in modes.items()]
    lost = [name for name, how in modes.items() if how == "cancel"]
    warning = f" Jobs of {', '.join(lost)} are lost, not requeued." if lost else ""
    return Found(True, f"{qos} preempts {', '.join(words)}.{warning}")


def second_pair(config: str, rows: Sequence[Mapping[str, str]]) -> str:
    """Said where jobs that ignore SIGTERM would cost others their nodes; empty where they would not. `config`: scontrol
    show config; `rows`: all QOS. Measured: docs/install.md."""
    kill_s, complete_s = (_seconds(value(config, key)) for key in ("KillWait", "CompleteWait"))
    graceful = any(_grace(row) not in ("0", "00:00:00") for row in rows)
    if not graceful or kill_s < HASTY_S or complete_s > kill_s:
        return ""
    return (
        f" Jobs that ignore SIGTERM may cost a second pair of jobs their nodes: CompleteWait ({complete_s} s) is not"
        f" above KillWait ({kill_s} s)."
    )


def _seconds(text: str) -> int:
    """Of scontrol's '30 sec'; 0 where there is nothing."""
    number = text.partition(" ")[0]
    return int(number) if number.isdigit() else 0


def _effective(own: str, cluster: str) -> str:
    """A QOS's own mode, else the cluster's: in lower case, without GANG, which only says how suspended jobs share."""
    for mode in (own, cluster):
        words = [word for word in mode.lower().replace(" ", "").split(",") if word not in ("", "cluster", "gang")]
        if words:
            return words[0]
    return "off"


def _grace(row: Mapping[str, str]) -> str:
    return row.get("GraceTime") or "0"


def _likely_victims(qos: str, by_name: Mapping[str, object]) -> str:
    return ",".join(name for name in by_name if name not in (qos, "normal")) or "normal"
