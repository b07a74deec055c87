"""Validation on whole volumes while training goes on."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from vesuv.config import Config
from vesuv.data.labels import IGNORE
from vesuv.evaluation.overlap import Overlap, confusion, scores
from vesuv.inference.networks import TrainedNetwork
from vesuv.inference.predictor import Predictor
from vesuv.runtime.machine import Machine
from vesuv.training.fold_data import FoldData


def score_volumes(
    network: nn.Module,
    data: FoldData,
    config: Config,
    machine: Machine,
    check: Callable[[], None] = lambda: None,
) -> Overlap:
    """Pool the overlap of the masks that would be written of the validation cases.

    Each case is predicted as `predict` would do it with these weights, on the file's own grid, with
    `validation.threshold` and `inference.postprocess`.

    Processes that train together take turns with the cases, and check between them only, where
    all are at the same point.

    Args:
        network: As it is trained; its mode is as before afterwards.
        data: The fold's cases.
        config: The whole configuration.
        machine: Where to compute.
        check: May end the validation on the way.
    """
    num_classes = config.labels.num_classes
    group = machine.group
    each_window = check if group.size == 1 else lambda: None
    matrix = torch.zeros((num_classes, num_classes), dtype=torch.int64, device=machine.device)
    was_training = network.training
    network.eval()
    trained = TrainedNetwork(network, config, data.normalizer, source="the network in training")
    predictor = Predictor([trained], machine)
    for turn in range(0, len(data.validation), group.size):
        check()
        if turn + group.rank >= len(data.validation):
            break
        case = data.validation[turn + group.rank]
        probs = predictor.predict_case(case, lambda _done, _total: each_window())
        label = torch.from_numpy(case.native_label.copy())
        classes = torch.from_numpy(predictor.classes(probs))
        matrix += confusion(classes, label, label != IGNORE, num_classes).to(machine.device)
    network.train(was_training)
    return scores(group.sum(matrix))
