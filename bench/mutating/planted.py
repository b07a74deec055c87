"""Bugs that a maintainer could make, one a place: in losses, measures and selection."""

from __future__ import annotations

from bench.mutating.trial import Mutant

LOSSES = (
    Mutant(
        "dice: smoothing in the denominator only",
        "losses/dice.py",
        "ratio(2 * overlap + self.smooth,",
        "ratio(2 * overlap,",
    ),
    Mutant(
        "mean over patches counts those without valid voxels",
        "losses/overlap.py",
        "prediction.num_valid > 0)",
        "prediction.num_valid >= 0)",
    ),
    Mutant(
        "tversky: alpha and beta exchanged",
        "losses/tversky.py",
        "self.alpha * (predicted - overlap) + self.beta * (labelled - overlap)",
        "self.beta * (predicted - overlap) + self.alpha * (labelled - overlap)",
    ),
    Mutant(
        "focal: alpha on background and foreground",
        "losses/focal.py",
        "((1 - self.alpha) * background,",
        "(self.alpha * background,",
    ),
    Mutant(
        "cross-entropy counts ignored voxels",
        "losses/voxelwise.py",
        "    weight = weight * prediction.valid\n",
        "    weight = weight * torch.ones_like(prediction.valid)\n",
    ),
    Mutant(
        "clDice: margin to ignored voxels one too small",
        "losses/cldice.py",
        "erode(prediction.valid, self.iterations + 2)",
        "erode(prediction.valid, self.iterations + 1)",
    ),
    Mutant(
        "boundary: sign of the distance reversed",
        "losses/boundary.py",
        "mul_(-2.0).add_(1.0))\n        # phi",
        "mul_(2.0).sub_(1.0))\n        # phi",
    ),
    Mutant(
        "distance transform stops one voxel early",
        "losses/distance.py",
        "[shift**2 for shift in range(1, reach + 1)]",
        "[shift**2 for shift in range(1, reach)]",
    ),
    Mutant(
        "surface recall: dilated surface leaves the label",
        "losses/surface_recall.py",
        ", 1) & prediction.target\n",
        ", 1)\n",
    ),
    Mutant(
        "separation counts patches of foreground alone",
        "losses/variance.py",
        "(prediction.num_labelled < prediction.num_valid)",
        "(prediction.num_labelled <= prediction.num_valid)",
    ),
    Mutant(
        "Lovász: slope of a false voxel off by one",
        "losses/lovasz.py",
        "(union * (union - 1).clamp_min(1))",
        "(union * union)",
    ),
    Mutant(
        "a loss with an interval lacks its factor",
        "losses/compound.py",
        "else weight * intervals.get(name, 1)\n",
        "else weight\n",
    ),
    Mutant(
        "deep supervision: shares do not add up to one",
        "losses/deep_supervision.py",
        "2.0 - 0.5 ** (len(scales) - 1)",
        "2.0 - 0.5 ** len(scales)",
    ),
    Mutant(
        "soft skeleton: gradient where there is no ridge",
        "losses/skeleton.py",
        "(factors[level] < 1.0)",
        "(factors[level] <= 1.0)",
    ),
    Mutant(
        "signed distance judges ignored voxels",
        "losses/signed_distance.py",
        "(distance <= to_unknown) & valid\n",
        "(distance <= to_unknown) | ~valid\n",
    ),
)

MEASURES = (
    Mutant(
        "confusion counts ignored voxels",
        "evaluation/overlap.py",
        ".masked_fill_(~valid, unjudged)",
        "",
    ),
    Mutant(
        "IoU: intersection counted twice in the union",
        "evaluation/overlap.py",
        "both / (predicted + labelled - both)",
        "both / (predicted + labelled)",
    ),
    Mutant(
        "precision of an empty prediction is perfect",
        "evaluation/overlap.py",
        "both / predicted if predicted else 0.0",
        "both / predicted if predicted else 1.0",
    ),
    Mutant(
        "surface Dice: areas of faces along the wrong axes",
        "evaluation/surface.py",
        "np.array([y * x, z * x, z * y])",
        "np.array([y * x, z * y, z * x])",
    ),
    Mutant("VOI in nats", "evaluation/voi.py", "np.log2(share)", "np.log(share)"),
    Mutant(
        "ASSD: mean of two means",
        "evaluation/distances.py",
        "float(both.mean())",
        "float((to_label.mean() + to_prediction.mean()) / 2)",
    ),
    Mutant(
        "bounding box loses its last layer when widened",
        "evaluation/nearest.py",
        "int(places[-1]) + 1 + margin)",
        "int(places[-1]) + max(margin, 1))",
    ),
    Mutant(
        "calibration error: bins cancel each other",
        "evaluation/calibration.py",
        "np.abs(self.probability - self.foreground).sum()",
        "np.abs((self.probability - self.foreground).sum())",
    ),
    Mutant(
        "bootstrap: interval of 90 %",
        "evaluation/bootstrap.py",
        "tail = (1 - LEVEL) / 2",
        "tail = 1 - LEVEL",
    ),
    Mutant(
        "Betti: background connected by faces",
        "evaluation/betti.py",
        "label_components(background, 26)",
        "label_components(background, 6)",
    ),
    Mutant(
        "surface clDice: a sheet ends at the volume's face",
        "evaluation/centerline.py",
        'np.pad(depths, 1, mode="edge")',
        "np.pad(depths, 1)",
    ),
    Mutant(
        "a difference whose interval begins at zero is a verdict",
        "evaluation/summary.py",
        "(low > 0 or high < 0)",
        "(low >= 0 or high <= 0)",
    ),
    Mutant(
        "fraction error: sign reversed",
        "evaluation/fraction.py",
        "overlap.predicted_fraction - overlap.labelled_fraction",
        "overlap.labelled_fraction - overlap.predicted_fraction",
    ),
)

SELECTION = (
    Mutant(
        "gap: errors of cases cancel each other",
        "selection/candidate_scores.py",
        "[float(np.abs(predicted - labelled).mean())]",
        "[float(np.abs((predicted - labelled).mean()))]",
    ),
    Mutant(
        "predicted fraction: cases weigh alike",
        "selection/candidate_scores.py",
        "dice=float(dice.mean()),\n            predicted_fraction=float((predicted * voxels).sum() "
        "/ voxels.sum()),",
        "dice=float(dice.mean()),\n            predicted_fraction=float(predicted.mean()),",
    ),
    Mutant(
        "a gap that equals the tolerance is refused",
        "selection/choice.py",
        '!= "distribution" and choice.gap <= limits.gap',
        '!= "distribution" and choice.gap < limits.gap',
    ),
    Mutant(
        "distance to the band: fractions above it lie inside",
        "selection/choice.py",
        "max(low - choice.predicted_fraction, choice.predicted_fraction - high, 0.0)",
        "max(low - choice.predicted_fraction, 0.0)",
    ),
    Mutant(
        "honest estimate: the part takes part in its choice",
        "selection/search.py",
        "rank(choices(pool, ~part), problem.config)[0]",
        "rank(choices(pool), problem.config)[0]",
    ),
    Mutant(
        "honest estimate: survivors of all cases",
        "selection/search.py",
        "_variants(_survivors(plain, ~part, problem.config), problem)",
        "_variants(_survivors(plain, all_cases, problem.config), problem)",
    ),
    Mutant(
        "stale cache: other settings find the same probabilities",
        "selection/cache.py",
        'json.dumps({"checkpoint": checkpoint, **settings}, sort_keys=True)',
        'json.dumps({"checkpoint": settings["checkpoint_sha256"]})',
    ),
    Mutant(
        "stale cache: inference settings are no part of the key",
        "selection/held_out.py",
        "            **self.inference,\n            **more_settings,",
        "            **more_settings,",
    ),
    Mutant(
        "a candidate's score counts ignored voxels",
        "selection/oof_predictions.py",
        "label, label != IGNORE, targets.num_classes",
        "label % IGNORE, label == label, targets.num_classes",
    ),
)
