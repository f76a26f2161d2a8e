"""Write everything a cluster reads: configuration, key, fake devices."""

import os
import stat

from lab.slurm import config, probe
from lab.slurm.layout import Layout
from lab.slurm.ports import listen
from lab.slurm.shape import Shape

LIKE_DEV_NULL = os.makedev(1, 3)


def write(layout: Layout, shape: Shape, ports: list[int]) -> None:
    """Write the files for `shape`. `ports`: slurmctld's, slurmdbd's, then one for each node."""
    here = listen()
    etc = layout.conf.parent
    layout.shape.write_text(shape.to_json())
    layout.conf.write_text(config.slurm_conf(layout, shape, ports, here))
    (etc / "gres.conf").write_text(config.gres_conf(layout, shape))
    database = etc / "slurmdbd.conf"
    database.touch(mode=0o600)  # slurmdbd refuses one that others may read
    database.write_text(config.slurmdbd_conf(layout, ports[1], here))
    if cgroup := config.cgroup_conf(probe.version()):
        (etc / "cgroup.conf").write_text(cgroup)
    if not layout.munge_key.exists():
        layout.munge_key.touch(mode=0o600)
        layout.munge_key.write_bytes(os.urandom(128))
    for number in range(shape.gpus_per_node):
        device = layout.devices / f"{shape.gpu_type}{number}"
        if not device.exists():
            os.mknod(device, 0o666 | stat.S_IFCHR, LIKE_DEV_NULL)
    for name in shape.node_names:
        (layout.spool / name).mkdir(exist_ok=True)
