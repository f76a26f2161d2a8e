#!/bin/bash
# A Slurm of a newer Debian suite in a chroot: controller, accounting and four nodes with pretended GPUs on this host.
#
#     slurm-latest.sh up|down        FOLDER=/var/tmp/dayzero-slurm-latest SUITE=sid
#
# Needs root, mmdebstrap and a Debian mirror in /etc/apt; the first `up` takes a minute or two, later ones seconds.
# pyslurm (GPL; never shipped) is built in there, too: $FOLDER/bin/python-pyslurm has it. Two minutes the first time.
# PyPI's newest is for Slurm 25.11, and no Debian suite has that (bookworm 22.05, trixie 24.11, forky and sid 26.05). So
# its version is changed, and 26.05's own switch for older programs turned on. PYSLURM=no does without.
# Everything listens on 127.0.0.1. The clients stand in $FOLDER/bin; /tmp is shared with the chroot, so scripts and
# logs must lie there. `down` stops all and unmounts; the chroot stays (rm -r --one-file-system $FOLDER, after `down`).
set -euo pipefail

FOLDER=${FOLDER:-/var/tmp/dayzero-slurm-latest}
SUITE=${SUITE:-sid}
ROOT=$FOLDER/root
PIDS=$FOLDER/pids
SOCKET=/run/mariadbd/mysqld.sock
PYSLURM=${PYSLURM:-pyslurm==25.11.2 --hash=sha256:6e0e4bc639ea3177591b102b77c1dd8df55a9e411ac42ef339a4adb3908cca34}
BUILDS=gcc,libc6-dev,libslurm-dev,python3-dev,python3-venv,python3-setuptools,python3-wheel,python3-packaging,cython3
NODES="h100-01 h100-02 h100-03 h100-04"

inside() { chroot "$ROOT" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 "$@"; }

daemon() { # NAME COMMAND...
  local name=$1
  shift
  setsid chroot "$ROOT" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "$@" \
    >"$ROOT/var/log/slurm/$name.out" 2>&1 </dev/null &
  echo $! >>"$PIDS"
}

await() { # SECONDS COMMAND...
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < deadline)) || { echo "gave up waiting for: $*" >&2; return 1; }
    sleep 0.2
  done
}

all_idle() { [ "$(inside sinfo -h -t idle -p serving -o %D)" = 4 ]; }

make_root() {
  local mirror
  command -v mmdebstrap >/dev/null || { echo "mmdebstrap is needed: apt-get install mmdebstrap" >&2; exit 1; }
  mirror=$(grep -hEo -m 1 'https?://[^ ]*/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null || true)
  mirror=${mirror%%[[:space:]]*}
  # The suite moves: a mirror that is a few days behind is no error.
  mmdebstrap --quiet --variant=apt --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Check-Date "false"' \
    --include=slurmctld,slurmd,slurmdbd,slurm-client,slurm-wlm-mysql-plugin,slurm-wlm-basic-plugins,mariadb-server,procps,$BUILDS \
    "$SUITE" "$ROOT" "${mirror:?no Debian mirror found in /etc/apt}"
}

make_pyslurm() {
  local work=$ROOT/root/pyslurm lib
  rm -rf "$work" "$ROOT/opt/pyslurm"
  mkdir -p "$work"
  echo "$PYSLURM" >"$work/wanted"
  python3 -m pip -q download --no-deps --no-binary :all: --require-hashes -r "$work/wanted" -d "$work"
  tar -xzf "$work"/pyslurm-*.tar.gz -C "$work" --strip-components=1
  sed -i 's/^__version__ = "25.11/__version__ = "26.5/' "$work/pyslurm/version.py"
  lib=$(dirname "$(find "$ROOT/usr/lib" -name libslurmfull.so)")
  inside python3 -m venv --system-site-packages /opt/pyslurm
  # 26.05 renamed a function and dropped an error number; jobs are named by another type, unless one asks for the old.
  inside SLURM_LIB_DIR="${lib#"$ROOT"}" PYSLURM_BUILD_JOBS=2 CFLAGS="-O0 -DSLURM_BACKWARD_COMPAT \
    -Dslurm_free_ctl_conf=slurm_free_conf -DESLURM_ERROR_ON_DESC_TO_RECORD_COPY=2033" \
    /opt/pyslurm/bin/python -m pip -q install --no-build-isolation --no-deps --no-index /root/pyslurm
}

configure() {
  mkdir -p "$ROOT"/etc/slurm "$ROOT"/var/log/slurm "$ROOT"/var/lib/slurm/{state,spool} "$ROOT"/srv "$ROOT"/run/{slurm,mysqld,mariadbd}
  printf '127.0.0.1 localhost %s\n' "$(hostname)" >"$ROOT/etc/hosts"
  for n in 0 1 2 3 4 5 6 7; do [ -e "$ROOT/srv/gpu$n" ] || mknod "$ROOT/srv/gpu$n" c 1 3; done
  [ -s "$ROOT/etc/slurm/slurm.key" ] || head -c 1024 /dev/urandom >"$ROOT/etc/slurm/slurm.key"
  chmod 600 "$ROOT/etc/slurm/slurm.key"
  cat >"$ROOT/etc/slurm/slurm.conf" <<'CONF'
ClusterName=latest
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=26817
SlurmUser=root
SlurmdUser=root
AuthType=auth/slurm
CredType=cred/slurm
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation=/var/lib/slurm/state
SlurmdSpoolDir=/var/lib/slurm/spool/%n
SlurmctldPidFile=/run/slurm/slurmctld.pid
SlurmdPidFile=/run/slurm/slurmd.%n.pid
SlurmctldLogFile=/var/log/slurm/slurmctld.log
SlurmdLogFile=/var/log/slurm/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
MpiDefault=none
ReturnToService=2
KillWait=5
SchedulerParameters=bf_interval=2,sched_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=26819
AccountingStorageEnforce=associations,limits,qos
AccountingStorageTRES=gres/gpu
PreemptType=preempt/qos
PreemptMode=REQUEUE
JobRequeue=1
SlurmdParameters=config_overrides
NodeName=h100-[01-04] NodeHostname=localhost NodeAddr=127.0.0.1 Port=[27001-27004] CPUs=16 RealMemory=200000 Gres=gpu:h100:8 State=UNKNOWN
PartitionName=research Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=serving Nodes=ALL MaxTime=INFINITE State=UP
CONF
  echo 'NodeName=h100-[01-04] Name=gpu Type=h100 File=/srv/gpu[0-7]' >"$ROOT/etc/slurm/gres.conf"
  echo 'CgroupPlugin=disabled' >"$ROOT/etc/slurm/cgroup.conf"
  cat >"$ROOT/etc/slurm/slurmdbd.conf" <<'CONF'
AuthType=auth/slurm
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=26819
SlurmUser=root
LogFile=/var/log/slurm/slurmdbd.log
PidFile=/run/slurm/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm
CONF
  chmod 600 "$ROOT/etc/slurm/slurmdbd.conf"
}

up() {
  down
  [ -x "$ROOT/usr/sbin/slurmctld" ] || make_root
  for name in proc dev dev/pts dev/shm sys tmp; do mount --bind "/$name" "$ROOT/$name"; done
  configure
  [ -d "$ROOT/var/lib/slurm/db/mysql" ] ||
    inside mariadb-install-db --user=mysql --datadir=/var/lib/slurm/db --skip-test-db --auth-root-authentication-method=socket >/dev/null 2>&1
  inside sh -c "ln -sfn $SOCKET /run/mysqld/mysqld.sock; chown -R mysql:mysql /run/mariadbd /run/mysqld /var/lib/slurm/db"
  daemon mariadbd mariadbd --user=mysql --datadir=/var/lib/slurm/db --skip-networking --socket=$SOCKET \
    --innodb-buffer-pool-size=64M --innodb-snapshot-isolation=OFF --innodb-lock-wait-timeout=900
  await 60 inside mariadb-admin --socket=$SOCKET ping
  inside mariadb --socket=$SOCKET -e "CREATE DATABASE IF NOT EXISTS slurm;
    CREATE USER IF NOT EXISTS slurm@localhost IDENTIFIED BY 'slurm'; GRANT ALL ON slurm.* TO slurm@localhost;"
  daemon slurmdbd slurmdbd -D
  await 60 inside sacctmgr -n show cluster
  inside sacctmgr -n show cluster format=cluster%20 | grep -q latest || inside sacctmgr -i add cluster latest >/dev/null
  daemon slurmctld slurmctld -D
  await 60 inside scontrol ping
  {
    inside sacctmgr -i add qos research GraceTime=5 Priority=0 || true
    inside sacctmgr -i add qos serving Priority=1000 Preempt=research PreemptMode=requeue || true
    inside sacctmgr -i add account research Description=toy Organization=toy || true
    inside sacctmgr -i add user root Account=research || true
    inside sacctmgr -i modify user root set QOS=normal,research,serving DefaultAccount=research || true
  } >/dev/null 2>&1
  for name in $NODES; do daemon "$name" slurmd -D -N "$name"; done
  mkdir -p "$FOLDER/bin"
  for name in squeue sinfo sacct sacctmgr scontrol sbatch srun scancel; do
    # The working folder is kept where the chroot has it, too.
    cat >"$FOLDER/bin/$name" <<CLIENT
#!/bin/bash
case "\$PWD" in /tmp | /tmp/*) here=\$PWD ;; *) here=/tmp ;; esac
exec chroot "$ROOT" /usr/bin/env PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -c 'cd "\$0" && exec "\$@"' "\$here" /usr/bin/$name "\$@"
CLIENT
    chmod +x "$FOLDER/bin/$name"
  done
  if [ "$PYSLURM" != no ] && { [ -d "$ROOT/opt/pyslurm/bin" ] || make_pyslurm; }; then
    printf '#!/bin/sh\nexec chroot "%s" /usr/bin/env -i PATH=/usr/bin:/bin HOME=/root LC_ALL=C.UTF-8 %s "$@"\n' \
      "$ROOT" /opt/pyslurm/bin/python >"$FOLDER/bin/python-pyslurm"
    chmod +x "$FOLDER/bin/python-pyslurm"
  fi
  await 60 all_idle
  inside sinfo --version
}

down() {
  if [ -s "$PIDS" ]; then
    tac "$PIDS" | while read -r pid; do kill "$pid" 2>/dev/null || true; done
    tac "$PIDS" | while read -r pid; do await 20 test ! -d "/proc/$pid" || kill -9 "$pid" 2>/dev/null || true; done
    rm -f "$PIDS"
  fi
  for name in tmp sys dev/shm dev/pts dev proc; do
    if mountpoint -q "$ROOT/$name"; then umount "$ROOT/$name" 2>/dev/null || umount --lazy "$ROOT/$name"; fi
  done
}

case "${1:-}" in
  up) mkdir -p "$FOLDER" && up ;;
  down) down ;;
  *) sed -n '2,11s/^# \{0,1\}//p' "$0" && exit 2 ;;
esac
