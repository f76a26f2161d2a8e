"""The text of the configuration files; pure."""

from lab.slurm.layout import Layout
from lab.slurm.ports import Listen
from lab.slurm.shape import Shape


def slurm_conf(layout: Layout, shape: Shape, ports: list[int], listen: Listen) -> str:
    """slurm.conf. `ports`: slurmctld's, slurmdbd's, then one for each node."""
    controller, database, *nodes = ports
    lines = [
        f"ClusterName={shape.name}",
        f"SlurmctldHost=localhost({listen.address})",
        f"SlurmctldPort={controller}",
        "SlurmUser=root",
        "SlurmdUser=root",
        "AuthType=auth/munge",
        f"AuthInfo=socket={layout.munge_socket}",
        "CredType=cred/munge",
        *(["CommunicationParameters=NoCtldInAddrAny,NoInAddrAny"] if listen.only_there else []),
        f"StateSaveLocation={layout.state}",
        f"SlurmdSpoolDir={layout.spool}/%n",
        f"SlurmctldPidFile={layout.run}/slurmctld.own.pid",
        f"SlurmdPidFile={layout.run}/%n.own.pid",
        f"SlurmctldLogFile={layout.logs}/slurmctld.log",
        f"SlurmdLogFile={layout.logs}/%n.log",
        "ProctrackType=proctrack/linuxproc",
        "TaskPlugin=task/none",
        "JobAcctGatherType=jobacct_gather/linux",
        "MailProg=/bin/true",
        "MpiDefault=none",
        "SwitchType=switch/none",
        "ReturnToService=2",
        f"SlurmdTimeout={shape.slurmd_timeout_s}",
        f"KillWait={shape.kill_wait_s}",
        f"CompleteWait={shape.complete_wait_s}",
        "SchedulerType=sched/backfill",
        "SchedulerParameters=bf_interval=2,sched_interval=2",
        "SelectType=select/cons_tres",
        "SelectTypeParameters=CR_Core_Memory",
        "DefMemPerCPU=1000",
        "GresTypes=gpu",
        "AccountingStorageType=accounting_storage/slurmdbd",
        f"AccountingStorageHost={listen.address}",
        f"AccountingStoragePort={database}",
        f"AccountingStoragePass={layout.munge_socket}",  # AuthInfo is not asked on the way to slurmdbd
        "AccountingStorageEnforce=associations,limits,qos",
        "AccountingStorageTRES=gres/gpu",
        "PriorityType=priority/multifactor",
        "PriorityWeightQOS=10000",
        "PreemptType=preempt/qos",
        "PreemptMode=REQUEUE",
        "JobRequeue=1",
        "SlurmdParameters=config_overrides",
    ]
    for name, port in zip(shape.node_names, nodes, strict=True):
        gres = f" Gres=gpu:{shape.gpu_type}:{shape.gpus_per_node}" if shape.gpus_per_node else ""
        lines.append(
            f"NodeName={name} NodeHostname=localhost NodeAddr={listen.address} Port={port} CPUs={shape.cpus_per_node}"
            f" RealMemory={shape.memory_per_node_mib}{gres} State=UNKNOWN"
        )
    names = list(shape.node_names)
    if shape.absent_nodes:
        names.append(f"absent-[0001-{shape.absent_nodes:04}]")
        gres = f" Gres=gpu:{shape.gpu_type}:{shape.gpus_per_node}" if shape.gpus_per_node else ""
        size = f"CPUs={shape.cpus_per_node} RealMemory={shape.memory_per_node_mib}{gres}"
        lines.append(f"NodeName={names[-1]} NodeAddr={listen.address} {size} State=DOWN")
    everywhere = f"Nodes={','.join(names)} MaxTime=INFINITE State=UP"
    lines.append(f"PartitionName=research Default=YES {everywhere}")
    lines.append(f"PartitionName=serving {everywhere}")
    return "\n".join(lines) + "\n"


def gres_conf(layout: Layout, shape: Shape) -> str:
    """gres.conf. Slurm 22.05 needs File=: with Count= alone the nodes register 0 GPUs and are drained."""
    if not shape.gpus_per_node:
        return ""
    devices = f"{layout.devices}/{shape.gpu_type}[0-{shape.gpus_per_node - 1}]"
    return f"NodeName={','.join(shape.node_names)} Name=gpu Type={shape.gpu_type} File={devices}\n"


def slurmdbd_conf(layout: Layout, port: int, listen: Listen) -> str:
    """slurmdbd.conf; MariaDB's socket can't be named here, it comes by MYSQL_UNIX_PORT."""
    lines = [
        "AuthType=auth/munge",
        f"AuthInfo=socket={layout.munge_socket}",
        *(["CommunicationParameters=NoInAddrAny"] if listen.only_there else []),
        "DbdHost=localhost",
        f"DbdAddr={listen.address}",
        f"DbdPort={port}",
        "SlurmUser=root",
        f"LogFile={layout.logs}/slurmdbd.log",
        f"PidFile={layout.run}/slurmdbd.own.pid",
        "StorageType=accounting_storage/mysql",
        "StorageHost=localhost",
        "StorageUser=root",
        "StorageLoc=slurm_acct",
    ]
    return "\n".join(lines) + "\n"


def cgroup_conf(slurm_version: tuple[int, int]) -> str | None:
    """cgroup.conf, or None for releases that know no `disabled`."""
    return "CgroupPlugin=disabled\n" if slurm_version >= (23, 11) else None
