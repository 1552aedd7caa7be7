"""Under SLURM: a cluster of one machine, started for these tests.

It takes the programs of SLURM 23.11 or newer (Debian: slurmctld, slurmd, slurm-client), since
an older one needs munge set up, and the rights of root.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.small_runs import SMALL, assert_same, metrics, tensors
from tests.tools import until
from tests.training import launches

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

CONFIG = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/slurm
CredType=cred/slurm
AuthInfo=use_client_ids
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
SchedulerParameters=sched_interval=1
MailProg=/bin/true
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    if "PARTITION" in said("sinfo"):
        pytest.skip("a SLURM runs here already, and would be disturbed")
    if os.geteuid() != 0:
        pytest.fail("only root can start a SLURM cluster")
    folder = tmp_path_factory.mktemp("slurm")
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "slurm.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o600)
    host = socket.gethostname().split(".")[0]
    with (socket.create_server(("127.0.0.1", 0)) as one,
          socket.create_server(("127.0.0.1", 0)) as other):  # fmt: skip
        ports = [free.getsockname()[1] for free in (one, other)]
    config = folder / "slurm.conf"
    config.write_text(CONFIG.format(host=host, ports=ports, folder=folder, cpus=os.cpu_count()))
    with pytest.MonkeyPatch.context() as environment, open(folder / "log", "w") as log:
        environment.setenv("SLURM_CONF", str(config))
        commands = (["slurmctld", "-D"], ["slurmd", "-D", "-N", host])
        daemons = [subprocess.Popen(c, stdout=log, stderr=log) for c in commands]
        try:
            until(lambda: "idle" in said("sinfo"), 20)
            yield
        finally:
            for which in ("RUNNING", "PENDING"):
                subprocess.run(["scancel", f"--state={which}"], capture_output=True)
            until(lambda: not said("squeue", "--noheader"), 40)
            for daemon in reversed(daemons):
                daemon.terminate()
                daemon.wait()


def said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True).stdout


# as in docs/machines.md
SCRIPT = """\
#!/bin/bash
export OMP_NUM_THREADS=1
srun --kill-on-bad-exit=1 {command}
code=$?
[ $code -eq 143 ] && scontrol requeue $SLURM_JOB_ID
exit $code
"""


class Job:
    """A batch job that trains, in the current folder."""

    def __init__(self, *words: str) -> None:
        self.log = Path("job.log")
        script = Path("job.sh")
        command = " ".join([sys.executable, "-m", "charrnn", "train", *words])
        script.write_text(SCRIPT.format(command=command))
        options = ["--nodes=1", "--ntasks-per-node=2", "--requeue", "--open-mode=append"]
        options += ["--parsable", f"--output={self.log}", "--overcommit"]
        self.number = said("sbatch", *options, str(script)).strip()
        assert self.number.isdecimal()

    def wait_for(self, text: str) -> None:
        until(lambda: self.log.exists() and text in self.log.read_text(), 60)

    def wait_until(self, state: str) -> str:
        show = ("scontrol", "--oneliner", "show", "job", self.number)
        until(lambda: f"JobState={state} " in said(*show), 90)
        return self.log.read_text()

    def release(self) -> None:
        """Release a requeued job, which SLURM keeps back for two minutes."""
        self.wait_until("PENDING")
        time.sleep(3)  # within the same second, slurmd takes the new start for the killed one
        subprocess.run(["scontrol", "update", f"JobId={self.number}", "StartTime=now"], check=True)


LONG = ("checkpoint_every=50", "logger=csv", "model.dropout=0.25")


@pytest.mark.parametrize("signal", ["USR1", "TERM"])
def test_a_preempted_job_is_queued_again_and_goes_on(
    cluster: None, workplace: Path, signal: str
) -> None:
    words = [*LONG, "trainer.max_steps=1000"]
    launches.train(*words, folder="whole")
    whole = workplace / "whole"
    job = Job(*SMALL, *words, "hydra.run.dir=run", "resume=auto")
    job.wait_for("step 105 /")
    subprocess.run(["scancel", f"--signal={signal}", job.number], check=True)
    job.release()
    log = job.wait_until("COMPLETED")
    match = re.search(r"charrnn train: stopped after step ([\d,]+); the run is saved", log)
    assert match is not None
    run = workplace / "run"
    assert f"resuming from {run.relative_to(workplace)}/checkpoints" in log
    assert f"last.ckpt, step {match[1]}" in log
    assert_same(tensors(run)["weights"], tensors(whole)["weights"])
    assert_same(tensors(run)["optimizer"], tensors(whole)["optimizer"])
    assert metrics(run) == metrics(whole)
