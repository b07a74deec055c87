"""Runs a function in processes that form a group on the CPU."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from vesuv.runtime import distributed
from vesuv.runtime.distributed import join_processes

Task = Callable[..., Any]


def in_two_processes(folder: Path, task: Task, *arguments: Any) -> list[Any]:
    """Run `task(group, *arguments)` in two processes; return what each returned or raised."""
    return in_processes(2, folder, task, *arguments)


def in_processes(size: int, folder: Path, task: Task, *arguments: Any) -> list[Any]:
    """Run `task(group, *arguments)` in `size` processes; return what each returned or raised."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = get_context("forkserver")
    server.set_forkserver_preload(["vesuv.training.train"])
    processes = [
        server.Process(target=_one, args=(rank, size, port, folder, task, arguments))
        for rank in range(size)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=120)
    hanging = [process for process in processes if process.is_alive()]
    for process in hanging:
        process.kill()
    assert not hanging, "a process hangs"
    files = [folder / f"{rank}.pt" for rank in range(size)]
    return [torch.load(file, weights_only=False) if file.exists() else None for file in files]


def _one(rank: int, size: int, port: int, folder: Path, task: Task, arguments: Any) -> None:
    torch.set_num_threads(1)
    distributed._GRACE_SECONDS = 0.1
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(size),
        "LOCAL_WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    answer: Any
    try:
        with join_processes() as group:
            answer = task(group, *arguments)
    except BaseException as fault:
        answer = fault
    torch.save(answer, folder / f"{rank}.pt")
