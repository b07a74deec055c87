"""One process that tries inputs in turn and says what became of each, before it is killed by one.

It works in a folder of its own beside a secret that no input may bring to light. An audit hook sees
what the interpreter opens, starts or removes; the folders are listed after every input.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import resource
import shutil
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

from vesuv.errors import InputError

from . import configurations, runs, stores, volumes
from .mutations import Link, Pipe, Tree
from .target import Target

_MOST_MEMORY = 8 * 2**30
"""Address space; torch alone takes some."""
_MOST_GROWTH_KB = 600 * 1024
"""Growth of the peak memory with one input that counts as a fault."""
_MOST_SECONDS = 2.0
"""Processor time of one input that counts as a hang."""
_FORBIDDEN = (
    *("os.system", "os.exec", "os.fork", "os.posix_spawn", "subprocess.Popen", "pty.spawn"),
    *("socket.connect", "socket.bind", "ctypes.dlopen", "webbrowser.open"),
)
_CHANGING = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod")


def all_targets() -> list[Target]:
    """Return every reader that is fuzzed."""
    return [*configurations.targets(), *volumes.targets(), *stores.targets(), *runs.targets()]


class _Watch:
    """Notes what an input makes the interpreter do."""

    def __init__(self) -> None:
        self.seen: list[str] | None = None
        self.inside = ""
        self.elsewhere = False
        sys.addaudithook(self._event)

    def _event(self, name: str, arguments: tuple[Any, ...]) -> None:
        if self.seen is None:
            return
        changes = name in _CHANGING and not self._is_inside(arguments[0])
        if changes or name.startswith(_FORBIDDEN):
            self.seen.append(f"{name} {arguments!r:.200}")
        elif name == "open":
            path, _mode, flags = arguments
            if not isinstance(path, (str, bytes)) or self._is_inside(path):
                return
            if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                self.seen.append(f"open to write {path!r:.200}")
            elif not self.elsewhere and ("secret" in str(path) or "passwd" in str(path)):
                self.seen.append(f"open {path!r:.200}")

    def _is_inside(self, path: Any) -> bool:
        if not isinstance(path, (str, bytes)):
            return False
        found = os.path.normpath(Path.cwd() / os.fsdecode(path))
        return found.startswith((self.inside, "/dev/null"))


def work(inputs: dict[str, int], seed: int, first: int, folder: Path) -> None:
    """Try so many inputs of each target, of the first one from `first` on; a line of JSON each."""
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.dont_write_bytecode = True
    warnings.simplefilter("ignore")
    # As in older versions of numcodecs: our own check must hold alone.
    os.environ["NUMCODECS_ALLOW_UNSAFE_PICKLE_DECODE"] = "1"
    out, complaints = (os.fdopen(os.dup(number), "w", buffering=1) for number in (1, 2))
    faulthandler.enable(complaints)
    sys.excepthook = lambda *fault: traceback.print_exception(*fault, file=complaints)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    by_name = {target.name: target for target in all_targets()}
    outside = folder / "outside"
    outside.mkdir(parents=True, exist_ok=True)
    (outside / "secret").write_bytes(b"do not read me" * 100)
    inside = folder / "inside"
    watch = _Watch()
    watch.inside = str(inside) + os.sep
    gc.freeze()
    for name, count in inputs.items():
        target = by_name[name]
        shutil.rmtree(inside, ignore_errors=True)
        inside.mkdir()
        before: Tree = {}
        watch.elsewhere = target.elsewhere
        for number in range(first, count):
            tree = target.tree(number, seed)
            out.write(json.dumps({"target": name, "number": number}) + "\n")
            _lay_out(inside, tree, before)
            before = tree
            os.chdir(inside)
            outcome, detail = _attempt(target, inside, tree, watch)
            os.chdir("/")
            if outcome != "fault" and (stray := _beside(folder)):
                outcome, detail = "fault", f"wrote {stray} beside its folder"
            told = {"target": name, "number": number, "outcome": outcome, "detail": detail}
            out.write(json.dumps(told) + "\n")
        first = 0


def _attempt(target: Target, inside: Path, tree: Tree, watch: _Watch) -> tuple[str, str]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    watch.seen = seen = []
    try:
        target.attempt(inside)
        outcome, detail = "accepted", ""
    except InputError as refusal:
        outcome, detail = "refused", str(refusal)
    except RecursionError as fault:
        outcome, detail = "fault", f"RecursionError: {fault}"
    except BaseException as fault:
        where = traceback.extract_tb(fault.__traceback__)
        places = [f"{Path(f.filename).name}:{f.lineno}" for f in where][-6:]
        outcome, detail = "fault", f"{type(fault).__name__}: {fault!s:.300} ({' '.join(places)})"
    watch.seen = None
    seconds = time.process_time() - began
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    if seen:
        return "fault", f"{seen[0]}; then {outcome} {detail:.200}"
    if outcome == "fault":
        return outcome, detail
    if seconds > _MOST_SECONDS:
        return "fault", f"{seconds:.1f} s; then {outcome} {detail:.200}"
    if grown > _MOST_GROWTH_KB:
        return "fault", f"{grown // 1024} MB more memory; then {outcome} {detail:.200}"
    if outcome == "refused" and target.names and not any(n in detail for n in target.names):
        return "fault", f"does not name the file: {detail:.300}"
    stray = _stray(target, inside, tree)
    return ("fault", f"wrote {stray}") if stray else (outcome, detail)


def _beside(folder: Path) -> list[str]:
    """What lies beside the folder of the input and the secret."""
    known = ("inside", "outside", "outside/secret")
    found = [*folder.iterdir(), *(folder / "outside").iterdir()]
    names = (path.relative_to(folder).as_posix() for path in found)
    return sorted(name for name in names if name not in known)


def _stray(target: Target, inside: Path, tree: Tree) -> list[str]:
    """Files that the input did not bring and the target may not write."""
    found = {p.relative_to(inside).as_posix() for p in inside.rglob("*") if not p.is_dir()}
    allowed = {name for name in found if any(Path(name).match(one) for one in target.writes)}
    return sorted(found - set(tree) - allowed)


def _make(path: Path, content: bytes) -> None:
    if isinstance(content, Link):
        path.symlink_to(os.fsdecode(content))
    elif isinstance(content, Pipe):
        os.mkfifo(path)
    else:
        path.write_bytes(content)


def _lay_out(inside: Path, tree: Tree, before: Tree) -> None:
    """Make the folder hold the tree, where it holds another one that differs in a file or two."""
    if any(isinstance(content, (Link, Pipe)) for content in (*tree.values(), *before.values())):
        shutil.rmtree(inside)
        inside.mkdir()
    try:
        found = {p.relative_to(inside).as_posix() for p in inside.rglob("*") if p.is_file()}
        for name in found - set(tree):
            (inside / name).unlink()
        for name, content in tree.items():
            if name not in found or before.get(name) is not content:
                (inside / name).parent.mkdir(parents=True, exist_ok=True)
                _make(inside / name, content)
    except OSError:  # a folder stands where a file should, or the other way round
        shutil.rmtree(inside)
        _lay_out(inside, tree, {})
