"""configs/surface.yaml is the proposal for the competition's data on a GPU of 24 GB.

The data are described by a survey, since they are too large to be here: 786 cases, most of 320³
voxels, some of 256³; uint8; sheets about two voxels thick; half of each volume is not labelled.
"""

from __future__ import annotations

from pathlib import Path

import torch

from vesuv.config import load_config
from vesuv.planning.proposal import DataSource, Planner, Proposal
from vesuv.planning.recognition import Recognition
from vesuv.planning.sizing import Resources
from vesuv.planning.survey import DatasetSurvey
from vesuv.planning.text import proposal_text
from vesuv.runtime.machine import Machine

SURVEY = Path("tests/data/surface_survey.json")
FILE = Path("configs/surface.yaml")
COMMAND = "python bin/train.py --config configs/surface.yaml --fold 0 --set data.root=/data/surface"


def surface_proposal() -> Proposal:
    gpu = Machine(torch.device("cuda"), "bfloat16", workers=8, threads=8, augment_on="device")
    source = DataSource(
        "surface",
        "data/vesuvius-surface",
        Recognition({"layout": "kaggle"}, "Kaggle: train_images, train_labels and train.csv"),
        DatasetSurvey.model_validate_json(SURVEY.read_text()),
    )
    planner = Planner(source, Resources(gpu, 24 * 10**9), network="plain_unet")
    return planner.propose(planner.size(), step_seconds=None)


def test_the_shipped_configuration_is_the_proposal_for_its_data() -> None:
    proposal = surface_proposal()

    assert proposal_text(proposal, COMMAND) == FILE.read_text()
    assert load_config(FILE) == proposal.config


def test_it_suits_thin_sheets_in_large_volumes() -> None:
    config = load_config(FILE)

    assert config.labels.classes == {"background": 0, "surface": 1}
    assert config.labels.ignore == 2
    assert config.data.spacing is None
    assert len(set(config.sampling.patch_size)) == 1
    assert config.sampling.patch_size[0] >= 128
    assert config.model.halvings == (4, 4, 4)
    assert config.data.folds.by == "stratified"
