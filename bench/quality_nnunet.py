"""nnU-Net's side of `quality.py`: its plans for a data set, or one training run and its masks.

Each call is a process of its own. Only what is needed is imported from nnU-Net and by path, so that
its optional transformers, which need a fitting torchvision, are left out.

What differs from `nnUNetv2_train`: the training ends after some minutes instead of 1,000 epochs,
with nnU-Net's own poly schedule spread over these minutes, and the step that ends nearest to the
deadline is the last; nothing is validated before the end. The clock starts when network and
augmentation are ready. Plans, augmentation, loss, optimiser and
prediction are nnU-Net's own; torch.compile is off, as nnU-Net has it on CPUs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

CONFIGURATION, PLANS = "3d_fullres", "nnUNetPlans"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=("plan", "train"))
    parser.add_argument("--home", type=Path, required=True, help="folder of nnU-Net's folders")
    parser.add_argument("--dataset", required=True, help="name, as Dataset001_Name")
    parser.add_argument("--processes", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--memory", type=float, help="GPU memory that is planned for (GB)")
    parser.add_argument("--output", type=Path, help="folder of the run")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--fold", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--views", nargs="+", default=["none", "mirror"])
    parser.add_argument("--cases", nargs="+", help="ids of the cubes to predict")
    arguments = parser.parse_args()
    processes = arguments.processes
    if arguments.action == "plan":
        processes = max(processes, 1)  # nnU-Net plans with so many threads
    results = arguments.output or arguments.home / "nnUNet_results"
    os.environ.update(
        nnUNet_raw=str(arguments.home / "nnUNet_raw"),
        nnUNet_preprocessed=str(arguments.home / "nnUNet_preprocessed"),
        nnUNet_results=str(results),
        nnUNet_n_proc_DA=str(processes),
        nnUNet_def_n_proc=str(arguments.threads),
        nnUNet_compile="f",
    )
    torch.set_num_threads(arguments.threads)
    if arguments.action == "plan":
        _plan(arguments)
    else:
        _train(arguments)


def _plan(arguments: argparse.Namespace) -> None:
    from nnunetv2.experiment_planning.plan_and_preprocess_api import (  # reads os.environ
        extract_fingerprints,
        plan_experiments,
        preprocess,
    )

    number = int(arguments.dataset[7:10])
    processes = max(arguments.processes, 1)
    extract_fingerprints([number], num_processes=processes, show_progress_bar=False)
    plan_experiments([number], gpu_memory_target_in_gb=arguments.memory)
    preprocess(
        [number],
        configurations=(CONFIGURATION,),
        num_processes=(processes,),
        show_progress_bar=False,
    )


def _train(arguments: argparse.Namespace) -> None:
    random.seed(arguments.seed)
    np.random.seed(arguments.seed)  # noqa: NPY002  what nnU-Net draws from
    torch.manual_seed(arguments.seed)
    trainer = _trainer(arguments)
    trainer.run_training()
    trainer.set_deep_supervision_enabled(False)
    prediction_seconds = {}
    for views in arguments.views:
        start = time.perf_counter()
        _predict(trainer, arguments, views)
        prediction_seconds[views] = time.perf_counter() - start
    plan = trainer.configuration_manager
    figures = {
        "steps": trainer.num_steps,
        "seconds": trainer.seconds,
        "prediction_seconds": prediction_seconds,
        "last_lr": trainer.optimizer.param_groups[0]["lr"],
        "patch_size": [int(edge) for edge in plan.patch_size],
        "batch_size": int(plan.batch_size),
        "parameters": sum(one.numel() for one in trainer.network.parameters()),
    }
    text = json.dumps(figures, indent=1)
    (arguments.output / "training.json").write_text(text, encoding="utf-8")


def _trainer(arguments: argparse.Namespace) -> Any:
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    class TimedTrainer(nnUNetTrainer):  # type: ignore[misc]
        """nnU-Net's trainer, whose schedule follows the clock and ends with the minutes."""

        num_steps = 0
        seconds = 0.0

        def run_training(self) -> None:
            self.on_train_start()
            self.network.train()
            budget, start = 60 * arguments.minutes, time.perf_counter()
            while self.seconds + 0.5 * self.seconds / max(self.num_steps, 1) < budget:
                self.lr_scheduler.step(self.seconds / budget * self.num_epochs)
                self.train_step(next(self.dataloader_train))
                self.num_steps += 1
                self.seconds = time.perf_counter() - start
            self.on_train_end()

    folder = arguments.home / "nnUNet_preprocessed" / arguments.dataset
    plans = json.loads((folder / f"{PLANS}.json").read_text(encoding="utf-8"))
    dataset = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    plans["continue_training"] = False
    return TimedTrainer(plans, CONFIGURATION, arguments.fold, dataset, torch.device("cpu"))


def _predict(trainer: Any, arguments: argparse.Namespace, views: str) -> None:
    """Write the masks of all cases at the predictor's own settings."""
    from nnunetv2.imageio.tif_reader_writer import Tiff3DIO
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(
        use_mirroring=views == "mirror",
        perform_everything_on_device=False,
        device=torch.device("cpu"),
        allow_tqdm=False,
    )
    predictor.manual_initialization(
        trainer.network,
        trainer.plans_manager,
        trainer.configuration_manager,
        [trainer.network.state_dict()],
        trainer.dataset_json,
        type(trainer).__name__,
        trainer.inference_allowed_mirroring_axes,
    )
    masks = arguments.output / "masks" / views
    masks.mkdir(parents=True, exist_ok=True)
    images = arguments.home / "nnUNet_raw" / arguments.dataset / "imagesTr"
    for case in arguments.cases:
        image, properties = Tiff3DIO().read_images([str(images / f"{case}_0000.tif")])
        mask = predictor.predict_single_npy_array(image, properties)
        np.save(masks / f"{case}.npy", mask.astype(np.uint8))


if __name__ == "__main__":
    main()
