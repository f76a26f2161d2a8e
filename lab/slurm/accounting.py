"""Accounting: the QOS that preempts, the one that is preempted, and who may use which."""

from lab.slurm.commands import ask
from lab.slurm.errors import SlurmLabError
from lab.slurm.layout import Layout
from lab.slurm.shape import Shape

ADDED_BEFORE = ("Nothing new added", "Nothing added", "already exists")
"""sacctmgr's words when there was nothing to add; its exit status alone doesn't tell."""


def set_up(layout: Layout, shape: Shape) -> None:
    """Make the accounts, users and QOS of `shape`; does nothing when that was done before for the same shape."""
    stamp = layout.accounting_stamp
    if stamp.exists() and stamp.read_text() == shape.to_json():
        return
    _add(layout, "cluster", shape.name)
    _make(layout, "qos", "research", f"GraceTime={shape.grace_time_s}", "Priority=0")
    _make(layout, "qos", "serving", "Priority=1000", "Preempt=research", "PreemptMode=requeue")
    _add(layout, "account", "research,serving", "Description=toy", "Organization=toy")
    service = ("Account=serving,research", "DefaultAccount=serving", "QOS=normal,research,serving")
    _add(layout, "user", shape.service_user, *service)
    if shape.service_user == "root":
        # root is there from the start, and `add` leaves its QOS and default account as they are.
        words = ("name=root", f"cluster={shape.name}", "set", "DefaultAccount=serving", "QOS=normal,research,serving")
        ask(layout, "sacctmgr", "-i", "modify", "user", "where", *words)
    if shape.researchers:
        rights = ("Account=research", "QOS=normal,research", "DefaultQOS=research")
        _add(layout, "user", ",".join(shape.researchers), *rights)
    stamp.write_text(shape.to_json())


def _add(layout: Layout, *words: str) -> bool:
    """Add something; False when it was there before (an `up` that was cut short may have added it)."""
    try:
        ask(layout, "sacctmgr", "-i", "add", *words)
    except SlurmLabError as refused:
        if not any(known in str(refused) for known in ADDED_BEFORE):
            raise
        return False
    return True


def _make(layout: Layout, kind: str, name: str, *settings: str) -> None:
    """Add something with these settings, or give them to what is there."""
    if not _add(layout, kind, name, *settings):
        ask(layout, "sacctmgr", "-i", "modify", kind, name, "set", *settings)
