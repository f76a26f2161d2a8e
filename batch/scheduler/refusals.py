"""What sbatch, scancel and their kin say when they don't do it: not now, or not like this. Pure."""

from lifecycle.errors import DayzeroError, SchedulerSilent, SubmissionRefused

SILENT = (
    "Unable to contact slurm controller",
    "Socket timed out",
    "Connection refused",
    "Communication connection failure",
    "Transport endpoint",
    "Zero Bytes were transmitted",
    "temporarily unable",
    "Resource temporarily unavailable",
    "in standby mode",
    "Protocol authentication error",
    "Munge encode failed",
    "connect failure",
    "Transaction rolled back",
)
"""Sentences after which the same submission may well succeed in a minute."""

ASSOCIATIONS = "`sacctmgr show assoc user=$USER format=account,qos` shows them"

NEXT_STEPS = (
    ("Invalid account", f"Set cluster.account to an account of this user: {ASSOCIATIONS}."),
    ("Invalid qos", f"Set cluster.qos to one that this account may use: {ASSOCIATIONS}."),
    ("Invalid partition", "Set cluster.partition to one of `sinfo -o %P`."),
    ("not permitted to use this partition", "Choose another cluster.partition, or ask for access to this one."),
    ("Requested node configuration", "Ask for fewer nodes or GPUs: `sinfo -o '%P %D %G'` shows what there is."),
    ("Node count specification", "Ask for fewer nodes: `scontrol show partition` shows MaxNodes."),
    ("More processors requested", "Ask for fewer nodes: `scontrol show partition` shows MaxNodes."),
    ("gres", "Set cluster.gpus.<type>.gres to a name of `sinfo -o %G`."),
    ("time limit", "Lower cluster.guards.walltime_hours: `scontrol show partition` shows MaxTime."),
    ("accounting/QOS policy", "The QOS or the account limits it: `sacctmgr show qos` shows the limits."),
    ("Memory", "Ask for less memory for each node: `sinfo -o '%P %m'` shows what there is."),
    ("array", "Use fewer shards: `scontrol show config` shows MaxArraySize."),
    ("Access/permission denied", "Ask the site to let this user submit."),
    ("configuration source", "Set SLURM_CONF, or run this on a host of the cluster."),
    ("srun", "Install Slurm's client commands, or set cluster.kind = 'local'."),
)


def refusal(sentence: str) -> DayzeroError:
    """The error for what sbatch said."""
    if not sentence or any(words in sentence for words in SILENT):
        return SchedulerSilent(f"Slurm did not take the job: {sentence or 'it said nothing'}.", "It is tried again.")
    return SubmissionRefused(f"Slurm refuses the job: {sentence.rstrip('.')}.", next_step(sentence))


def next_step(sentence: str) -> str:
    """What the reader can do about it."""
    for words, step in NEXT_STEPS:
        if words.lower() in sentence.lower():
            return step
    return "Try the script by hand with `sbatch --test-only`; the site's administrators know their rules."
