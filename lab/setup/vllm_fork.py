"""A vLLM plugin, copied into the engine environment: with DAYZERO_LAB_FORK=1 vLLM forks its processes.

On CPUs vLLM always starts its engine and workers as new interpreters, each of which imports PyTorch and vLLM again, one
after the other: three times 15 s on two slow cores. vLLM knows how to fork (it is its default elsewhere); its CPU
platform rules that out to bind threads per worker, which the lab, one thread a worker, does without.
Use it with VLLM_CPU_OMP_THREADS_BIND=nobind and OMP_NUM_THREADS=1 only: GNU's OpenMP threads don't survive a fork.
"""

import os


def register() -> None:
    """Called by vLLM in every process, before it settles its configuration."""
    if os.environ.get("DAYZERO_LAB_FORK") != "1":
        return
    from vllm.platforms.cpu import CpuPlatform

    settle = CpuPlatform.check_and_update_config.__func__
    if settle.__name__ == "settle_and_fork":
        return

    def settle_and_fork(cls, vllm_config):
        settle(cls, vllm_config)
        os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "fork"

    CpuPlatform.check_and_update_config = classmethod(settle_and_fork)
