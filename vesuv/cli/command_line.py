"""The verbs, how one is called, and the sentence and exit status it ends with."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from cyclopts import (
    App,
    CycloptsError,
    MissingArgumentError,
    RepeatArgumentError,
    UnusedCliTokensError,
    ValidationError,
)

import vesuv
from vesuv.cli.console import SafeConsole
from vesuv.cli.signals import StoppedBySignal, signals_as_exceptions
from vesuv.cli.streams import quiet_streams
from vesuv.environment import set_nnunet_raw
from vesuv.errors import RESUME, InputError, InputErrors, Interrupted, command, name_program
from vesuv.runtime.memory import is_out_of_memory

_HELP = "Train, select and explain 3D segmentation of thin, rare, self-touching structures."
_VERBS = {
    "init": "Look at a folder of volumes and write a configuration that trains as it is.",
    "prepare": "Read the raw data, check every case, write the store and its summary.",
    "pretrain": "Pre-train a network on unlabelled volumes by masked reconstruction.",
    "probe": "Read labels out of frozen features: geometric, textural or contextual ones.",
    "train": "Train one fold or several in sequence; on several GPUs by torchrun.",
    "validate_distribution": "Choose checkpoint, cut and post-processing on held-out volumes.",
    "find_best": "Choose among configurations and their ensembles on held-out volumes.",
    "predict": "Predict volumes with one run, or with several averaged.",
    "suggest": "Suggest cubes to label next: where networks and views disagree most.",
    "instances": "Segment cells between membranes, with parameters chosen on held-out volumes.",
    "export": "Write runs as a bundle: one folder with all that predictions need.",
    "import_nnunet": "Write a trained nnU-Net as a bundle.",
    "evaluate": "Score predictions against labels; compare folders of predictions.",
    "diagnose": "Say what is the matter with runs and what to do about it.",
    "view": "Draw volumes with labels and predictions, or open them in a browser.",
    "digitize": "Turn masks of a log's curves into calibrated values at even depths.",
    "study": "Compare configurations on the same folds, seeds and budget.",
    "curves": "Pick sinusoids in borehole image logs: train, predict, evaluate and more.",
    "config": "Show, compare and explain configurations; write their JSON schema.",
    "phantom": "Make a synthetic data set: scroll volumes, or scans of well logs.",
}
"""Verb -> its help in the list of verbs; a verb's module is imported when it is called."""
_SECOND_NAMES = {"import_nnunet": "import-nnunet"}
"""Verb -> its other name on the command line."""
_PREDICTS = "set inference.batch_size=1 with --set, or cut large volumes up"
_LESS_MEMORY = {
    "train": "go on with --resume and a higher runtime.accumulate or runtime.recompute_levels, or "
    "lower sampling.batch_size or sampling.patch_size for a new run",
    "validate_distribution": _PREDICTS,
    "find_best": _PREDICTS,
    "predict": _PREDICTS,
    "instances": _PREDICTS,
    "suggest": _PREDICTS,
    "evaluate": "start fewer processes with --workers",
}
"""Verb -> what it needs less memory with."""
_LINK_LOOP = "Symlink loop from "
"""What the RuntimeError of `Path.resolve` begins with."""
_RAW_FOLDER = "nnUNet_raw"
"""Environment variable of nnU-Net: the folder of its data sets."""
_STATUS_OF_SIGNAL = 128
"""Exit status of a verb that a signal ended, less the signal's number, as shells count."""


def make_app() -> App:
    """Return the command line with all its verbs."""
    app = App(
        name="vesuv",
        version=vesuv.__version__,
        help=_HELP,
        help_format="plaintext",
        suppress_keyboard_interrupt=False,
    )
    for verb, summary in _VERBS.items():
        names = [verb, *([_SECOND_NAMES[verb]] if verb in _SECOND_NAMES else [])]
        app.command(f"vesuv.cli.{verb}:{verb}", name=names, help=summary)
    app.register_install_completion_command(help="Let the shell complete verbs and options.")
    return app


def call(arguments: Sequence[str] | None = None) -> None:
    """Call a verb, see `vesuv.cli.main`.

    Args:
        arguments: Verb and options; those of the process when left out.
    """
    # PyTorch reads this at its first large allocation on a CPU: huge pages spare a training step
    # there the page faults that cost it a sixth of its time. Elsewhere it does nothing.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    name_program(_program(Path(sys.argv[0])))
    raw_folder = os.environ.get(_RAW_FOLDER)
    set_nnunet_raw(Path(raw_folder) if raw_folder else None)
    words = list(sys.argv[1:] if arguments is None else arguments)
    with quiet_streams() as output, signals_as_exceptions() as received:
        try:
            status = _run(words)
        except Exception:  # a signal that interrupts an import can end in any of them
            if received.number is None:
                raise
            status = _stopped(received.number)
        output.flush()
        if not status and output.fault and not isinstance(output.fault, BrokenPipeError):
            reason = output.fault.strerror
            sentence = f"standard output: cannot be written ({reason}); all else is done and saved"
            status = _refuse([sentence])
    if status:
        sys.exit(status)


def _run(words: list[str]) -> int:
    """Call a verb; print what ended it. Return the exit status."""
    try:
        make_app()(words, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as fault:
        return _refuse([_sentence(fault)])
    except InputErrors as fault:
        return _refuse(fault.faults)
    except InputError as fault:
        return _refuse([str(fault)])
    except (MemoryError, OSError, RuntimeError) as fault:
        sentence = _sentence_of_system(fault, words[0] if words else "")
        if sentence is None:
            raise
        return _refuse([sentence])
    except Interrupted as request:
        _print(str(request))
        return RESUME
    except KeyboardInterrupt as request:
        return _stopped(request.number if isinstance(request, StoppedBySignal) else signal.SIGINT)
    return 0


def _stopped(number: int) -> int:
    """Say that a signal ended the verb; return the exit status."""
    name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
    _print(f"stopped by {name}; every file that was written is whole, start it again")
    return _STATUS_OF_SIGNAL + number


def _sentence_of_system(fault: BaseException, verb: str) -> str | None:
    """Say what the system refused; None: the fault is ours."""
    if is_out_of_memory(fault):
        remedy = _LESS_MEMORY.get(verb, "end other programs, or use a computer with more of it")
        return f"{verb}: the memory of this computer or its GPU is used up; {remedy}"
    if isinstance(fault, OSError) and fault.filename is not None:
        return f"{fault.filename}: cannot be used ({fault.strerror}); check path and permissions"
    if isinstance(fault, OSError):
        return f"{verb}: the system refuses it ({fault}); check folders, permissions and space"
    if str(fault).startswith(_LINK_LOOP):
        path = str(fault).removeprefix(_LINK_LOOP).strip("'")
        return f"{path}: is a symbolic link that leads to itself; remove it"
    return None


def _program(called: Path) -> str:
    """Return how the user calls a verb: by a script in bin/, as a module, or as `vesuv`."""
    if called.name == "__main__.py":
        return "python -m vesuv {verb}"
    if called.suffix == ".py" and called.stem in _VERBS:
        return f"python {called.with_name('{verb}.py')}"
    return "vesuv {verb}"


def _sentence(fault: CycloptsError) -> str:
    see = f"see {command(*fault.command_chain, '--help') if fault.command_chain else '--help'}"
    text = " ".join(str(fault).split()).partition(" Available commands")[0].rstrip(".")
    if isinstance(fault, RepeatArgumentError):
        return f"{fault.token.keyword}: is given twice, takes one value; give it once; {see}"
    if isinstance(fault, UnusedCliTokensError):
        return f"{' '.join(fault.unused_tokens or ())}: belongs to no option; {see}"
    if isinstance(fault, ValidationError) and isinstance(fault.__cause__, InputError):
        return str(fault.__cause__)
    if isinstance(fault, MissingArgumentError) and fault.argument is not None:
        _, meant, name = text.partition(" Did you mean")
        return f"{fault.argument.name}: needs a value;{meant}{name} {see}"
    return f"{text} {see}" if text.endswith("?") else f"{text}; {see}"


def _refuse(sentences: Sequence[str]) -> int:
    for sentence in sentences:
        _print(f"error: {sentence}")
    return 2


def _print(line: str) -> None:
    SafeConsole(stderr=True).print(line)
