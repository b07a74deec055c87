"""Validation on whole volumes while training goes on."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from vesuv.config import Config
from vesuv.data.labels import IGNORE
from vesuv.evaluation.overlap import Overlap, confusion, scores
from vesuv.inference.ensemble import Ensemble
from vesuv.inference.volume import predict_volume
from vesuv.runtime.machine import Machine
from vesuv.training.fold_data import FoldData


def score_volumes(
    network: nn.Module,
    data: FoldData,
    config: Config,
    machine: Machine,
    check: Callable[[], None] = lambda: None,
) -> Overlap:
    """Predict every validation case whole and pool the overlap; `check` may end it on the way.

    Processes that train together take turns with the cases, and check between them only, where
    all are at the same point.
    """
    num_classes = config.labels.num_classes
    group = machine.group
    each_window = check if group.size == 1 else lambda: None
    matrix = torch.zeros((num_classes, num_classes), dtype=torch.int64, device=machine.device)
    was_training = network.training
    network.eval()

    probabilities = Ensemble((network,))
    for turn in range(0, len(data.validation), group.size):
        check()
        if turn + group.rank >= len(data.validation):
            break
        case = data.validation[turn + group.rank]
        image = data.normalizer.for_case(case.statistics).apply(torch.from_numpy(case.image.copy()))
        probs = predict_volume(
            probabilities,
            image,
            patch_size=config.sampling.patch_size,
            overlap=config.inference.overlap,
            batch_size=config.inference.batch_size,
            mirror=False,
            device=machine.device,
            precision=machine.precision,
            progress=lambda _done, _all: each_window(),
        )
        label = torch.from_numpy(case.label.copy())
        mask = probs[0] >= config.validation.threshold if len(probs) == 1 else probs.argmax(0)
        counts = confusion(mask.to(torch.int64), label, label != IGNORE, num_classes)
        matrix += counts.to(machine.device)
    network.train(was_training)
    return scores(group.sum(matrix))
