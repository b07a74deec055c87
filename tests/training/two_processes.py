"""Runs a function in two processes that form a group on the CPU."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from vesuv.training import distributed
from vesuv.training.distributed import joined

Task = Callable[..., Any]


def in_two_processes(folder: Path, task: Task, *arguments: Any) -> list[Any]:
    """Run `task(group, *arguments)` in two processes; return what each returned or raised."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = get_context("forkserver")
    server.set_forkserver_preload(["vesuv.commands.train"])
    processes = [
        server.Process(target=_one_of_two, args=(rank, port, folder, task, arguments))
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=120)
    hanging = [process for process in processes if process.is_alive()]
    for process in hanging:
        process.kill()
    assert not hanging, "a process hangs"
    files = [folder / f"{rank}.pt" for rank in range(2)]
    return [torch.load(file, weights_only=False) if file.exists() else None for file in files]


def _one_of_two(rank: int, port: int, folder: Path, task: Task, arguments: Any) -> None:
    torch.set_num_threads(1)
    distributed._GRACE_SECONDS = 0.1
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    answer: Any
    try:
        with joined() as group:
            answer = task(group, *arguments)
    except BaseException as fault:
        answer = fault
    torch.save(answer, folder / f"{rank}.pt")
