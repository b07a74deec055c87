"""Validation on whole volumes during training."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from vesuv.config import Config
from vesuv.data.labels import IGNORE
from vesuv.evaluation.class_scores import Row, overlap_row
from vesuv.evaluation.overlap import confusion
from vesuv.inference.networks import TrainedNetwork
from vesuv.inference.predictor import Predictor
from vesuv.runtime.machine import Machine
from vesuv.training.fold_data import FoldData


def score_volumes(
    network: nn.Module,
    data: FoldData,
    config: Config,
    machine: Machine,
    check_stop: Callable[[], None] = lambda: None,
) -> Row:
    """Return the overlap of predicted masks and labels, pooled over the validation cases.

    With several classes the scores of each are beside their mean, see `overlap_row`.

    The masks are those that `predict` would write with these weights: on the file's own grid, with
    `validation.threshold` and `inference.postprocess`.

    Processes that train together share the cases.

    Args:
        network: The network in training; its mode is restored afterwards.
        data: The fold's cases.
        config: The whole configuration.
        machine: Device and precision.
        check_stop: Called between windows, or between cases if there are several processes, which
            must call it together; raises Interrupted to end the validation.
    """
    num_classes = config.labels.num_classes
    group = machine.group
    check_window = check_stop if group.size == 1 else lambda: None
    matrix = torch.zeros((num_classes, num_classes), dtype=torch.int64, device=machine.device)
    was_training = network.training
    network.eval()
    trained_network = TrainedNetwork(
        network, config, data.normalizer, source="the network in training"
    )
    # torch.compile would take the weights, which change, as constants
    inference = config.inference.model_copy(update={"compile": "off"})
    predictor = Predictor([trained_network], machine, inference)
    for first_case in range(0, len(data.validation), group.size):
        check_stop()
        if first_case + group.rank >= len(data.validation):
            break
        case = data.validation[first_case + group.rank]
        probs = predictor.predict_case(case, lambda _done, _total: check_window())
        label = torch.from_numpy(case.native_label.copy())
        classes = torch.from_numpy(predictor.classes(probs, case.native_spacing))
        matrix += confusion(classes, label, label != IGNORE, num_classes).to(machine.device)
    network.train(was_training)
    return overlap_row(group.sum(matrix), config.labels.targets)
