"""A SLURM of one node on this machine: munged, slurmctld and slurmd of Debian's packages, in a folder of their own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SBIN = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol")
CORES = 2

CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
# a requeued job waits until credentials of before have expired: two minutes by default
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=1
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
KillWait=10
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""


def why_not() -> str | None:
    """Return why no SLURM can be started here, or None."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=SBIN) is None]
    if missing:
        return f"there is no {missing[0]}: apt-get install slurm-wlm munge"
    if os.geteuid() != 0:
        return "SLURM's daemons are started by root"
    return None


@contextmanager
def running_cluster() -> Iterator[dict[str, str]]:
    """Start a cluster, and give the environment in which its commands find it."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # short: the path of a socket has 107 characters
    folder.chmod(0o711)  # munge wants everybody to reach its socket
    host = socket.gethostname().split(".")[0]
    text = CONF.format(host=host, folder=folder, controller=free_port(), node=free_port(), cores=CORES)
    (folder / "slurm.conf").write_text(text)
    (folder / "cgroup.conf").write_text("CgroupAutomount=no\n")
    (folder / "state").mkdir()
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o400)
    env = {**os.environ, "PATH": SBIN, "SLURM_CONF": str(folder / "slurm.conf")}
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        munged = ["munged", "--foreground", "--force", f"--socket={folder}/munge.socket"]
        munged += [f"--{name}={folder}/munge.{name.split('-')[0]}" for name in ("key-file", "pid-file", "seed-file")]
        daemons.append(start([*munged, f"--log-file={folder}/munge.log"], folder, env))
        wait_until((folder / "munge.socket").exists, folder)
        daemons.append(start(["slurmctld", "-D"], folder, env))
        daemons.append(start(["slurmd", "-D", "-N", host], folder, env))
        wait_until(lambda: asked(["sinfo", "-h", "-o", "%T"], env).strip() == "idle", folder)
        yield env
    finally:
        with suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(["scancel", "--user=root", "--signal=KILL", "--full"], env=env, check=False, timeout=10)
            subprocess.run(["scancel", "--user=root"], env=env, check=False, timeout=10)
        for daemon in reversed(daemons):
            daemon.terminate()
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        shutil.rmtree(folder, ignore_errors=True)


def start(words: list[str], folder: Path, env: dict[str, str]) -> subprocess.Popen[bytes]:
    with (folder / f"{words[0]}.out").open("wb") as out:
        return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def asked(words: list[str], env: dict[str, str]) -> str:
    return subprocess.run(words, capture_output=True, text=True, env=env, check=False, timeout=30).stdout


def wait_until(holds, folder: Path, seconds: float = 40.0) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > ends:
            told = "\n".join(f"{file.name}: {file.read_text()[-1500:]}" for file in sorted(folder.glob("*.out")))
            raise AssertionError(f"SLURM did not start\n{told}")
        time.sleep(0.2)
