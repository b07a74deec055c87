"""What does the compound loss cost: seconds forward and backward, bytes kept for backward?

The peer is the same five terms written plainly: autograd over whole tensors, SciPy's Euclidean
distance transform, MONAI's soft skeleton. MONAI erodes by the three-axis cross, so that is what the
comparison runs on; vesuv's default, the cube, is a row of its own. Both must agree in value. The
peers of losses outside the compound are MONAI's Tversky loss and plain spellings in PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from harness import CLOCKS, Report, options, side_by_side
from monai.losses import TverskyLoss
from monai.losses.cldice import soft_skel
from scipy import ndimage
from torch import Tensor

from vesuv.config.loss import ALL_LOSSES, LossConfig, read_losses
from vesuv.data.phantom import phantom_volume
from vesuv.losses import MASK_LOSSES, Compound, build_losses

TERMS = ("dice", "focal", "variance", "boundary", "cldice")
WEIGHTS = dict.fromkeys(TERMS, 1.0)
Terms = dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]]


def main() -> None:
    parser = options(__doc__ or "", repeats=5)
    parser.add_argument("--patch", type=int, default=128, help="edge of the patches")
    parser.add_argument("--batch", type=int, default=2, help="patches")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    logits, label, valid = batch(arguments.batch, arguments.patch)
    cross = read_losses({"cldice": {"erosion": "cross"}})
    cube = ALL_LOSSES()
    contenders: dict[str, Callable[[Tensor], Tensor]] = {
        "plain: SciPy and MONAI": lambda x: sum(
            (term(x, label, valid) for term in plain(cross).values()), torch.zeros(())
        ),
        "vesuv, the same erosion": lambda x: ours(cross)(x, label, valid, WEIGHTS)[0],
        "vesuv, default (cube)": lambda x: ours(cube)(x, label, valid, WEIGHTS)[0],
    }
    seconds = side_by_side(
        {name: lambda loss=loss: step(loss, logits) for name, loss in contenders.items()},
        repeats=arguments.repeats,
        warm_up=arguments.warm_up,
        clock=CLOCKS[arguments.clock],
    )
    report = Report(f"compound loss at {arguments.batch} x {arguments.patch}³", arguments)
    peer = next(iter(contenders))
    for name, values in seconds.items():
        report.row(name, values, "s", against=None if name == peer else peer)
    for name, loss in contenders.items():
        what = f"{name}, kept for backward"
        against = None if name == peer else f"{peer}, kept for backward"
        report.row(what, [kept(loss, logits)], "bytes/voxel", against=against)
    each(report, cross, logits, label, valid, arguments.clock)
    values = {name: round(float(loss(logits).detach()), 6) for name, loss in contenders.items()}
    report.fact("value of the loss", values)
    report.finish()


def each(
    report: Report, config: LossConfig, logits: Tensor, label: Tensor, valid: Tensor, clock: str
) -> None:
    """Add a row for each term alone, plain and ours."""
    peers = {**plain(config), **outside(config)}
    for name in MASK_LOSSES:
        loss = build_losses(config, [name])[name]
        spellings = {f"{name}, plain": peers[name]} if name in peers else {}
        spellings[f"{name}, vesuv"] = loss
        runs = {what: lambda x, one=one: one(x, label, valid) for what, one in spellings.items()}
        seconds = side_by_side(
            {what: lambda run=run: step(run, logits) for what, run in runs.items()},
            repeats=1,
            warm_up=1,
            clock=CLOCKS[clock],
        )
        for what, run in runs.items():
            against = f"{name}, plain" if name in peers and what != f"{name}, plain" else None
            report.row(what, seconds[what], "s", against=against)
            report.row(
                f"{what}, kept",
                [kept(run, logits)],
                "bytes/voxel",
                against=against and f"{against}, kept",
            )
        values = {what: round(float(run(logits).detach()), 6) for what, run in runs.items()}
        report.fact(f"value of {name}", values)


def batch(size: int, edge: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return logits of a middling prediction, label and valid mask of phantom patches."""
    labels = np.stack([phantom_volume(seed, edge, seed)[1] for seed in range(size)])
    label = torch.from_numpy(labels)
    noise = torch.randn((size, 1, edge, edge, edge), generator=torch.manual_seed(0))
    logits = F.avg_pool3d(noise, 3, stride=1, padding=1) * 3 + (label == 1)[:, None] * 2.0 - 1.0
    return logits, label, label != 2


def ours(config: LossConfig) -> Compound:
    return Compound(build_losses(config, TERMS))


def plain(config: LossConfig) -> Terms:
    """Spell the terms with tensors, SciPy and MONAI; one logit, masked by multiplication."""
    radius, alpha, gamma = config.boundary.radius, config.focal.alpha, config.focal.gamma
    iterations = config.cldice.iterations

    def parts(logits: Tensor, label: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mask = valid[:, None].float()
        return torch.sigmoid(logits) * mask, (label == 1)[:, None].float() * mask, mask

    def dice(logits: Tensor, label: Tensor, valid: Tensor) -> Tensor:
        p, y, _ = parts(logits, label, valid)
        smooth = config.dice.smooth
        return 1 - (2 * (p * y).sum() + smooth) / (p.sum() + y.sum() + smooth)

    def focal(logits: Tensor, label: Tensor, valid: Tensor) -> Tensor:
        _, y, mask = parts(logits, label, valid)
        surprise = F.binary_cross_entropy_with_logits(logits, y, reduction="none")
        weight = alpha * y + (1 - alpha) * (1 - y)
        return (weight * (1 - torch.exp(-surprise)) ** gamma * surprise * mask).sum() / mask.sum()

    def variance(logits: Tensor, label: Tensor, valid: Tensor) -> Tensor:
        p, y, mask = parts(logits, label, valid)
        axes = (1, 2, 3, 4)
        on = (p * y).sum(axes) / y.sum(axes)
        off = (p * (1 - y) * mask).sum(axes) / ((1 - y) * mask).sum(axes)
        return (1 - on + off).mean()

    def boundary(logits: Tensor, label: Tensor, valid: Tensor) -> Tensor:
        p, y, mask = parts(logits, label, valid)
        distances = []
        for one, judged in zip(y[:, 0].bool().numpy(), valid.numpy(), strict=True):
            inside = ndimage.distance_transform_edt(one | ~judged)
            outside = ndimage.distance_transform_edt(~one)
            distances.append(np.where(one, 0.5 - inside, outside - 0.5))
        phi = torch.from_numpy(np.stack(distances)[:, None]).float()
        phi = phi.clamp(-radius, radius) / radius
        return (phi * (p - y) * mask).sum() / mask.sum()

    def cldice(logits: Tensor, label: Tensor, valid: Tensor) -> Tensor:
        p, y, mask = parts(logits, label, valid)
        margin = 2 * iterations + 3
        counted = 1 - F.max_pool3d(1 - mask, margin, stride=1, padding=margin // 2)
        predicted, labelled = soft_skel(p, iterations), soft_skel(y, iterations)
        smooth = config.cldice.smooth
        precision = ((predicted * y * counted).sum() + smooth) / (
            (predicted * counted).sum() + smooth
        )
        recall = ((labelled * p * counted).sum() + smooth) / ((labelled * counted).sum() + smooth)
        return 1 - 2 * precision * recall / (precision + recall)

    return {
        "dice": dice,
        "focal": focal,
        "variance": variance,
        "boundary": boundary,
        "cldice": cldice,
    }


def outside(config: LossConfig) -> Terms:
    """Spell losses outside the compound: one logit, the voxels of the valid mask."""

    def tversky(logits: Tensor, label: Tensor, valid: Tensor) -> Tensor:
        section = config.tversky
        peer = TverskyLoss(
            alpha=section.alpha,
            beta=section.beta,
            smooth_nr=section.smooth,
            smooth_dr=section.smooth,
            batch=True,
        )
        mask = valid[:, None].float()
        return peer(torch.sigmoid(logits) * mask, (label == 1)[:, None].float() * mask)

    def symmetric_cross_entropy(logits: Tensor, label: Tensor, valid: Tensor) -> Tensor:
        x, y = logits[:, 0][valid], (label == 1)[valid].float()
        p = torch.sigmoid(x)
        log_y, log_not_y = torch.log(y).clamp_min(-4), torch.log(1 - y).clamp_min(-4)
        reverse = -(p * log_y + (1 - p) * log_not_y).mean()
        section = config.symmetric_cross_entropy
        return section.alpha * F.binary_cross_entropy_with_logits(x, y) + section.beta * reverse

    def lovasz(logits: Tensor, label: Tensor, valid: Tensor) -> Tensor:
        x, y = logits[:, 0][valid], (label == 1)[valid].float()
        errors, order = (1 - x * (2 * y - 1)).sort(descending=True)
        y = y[order].double()
        jaccard = 1 - (y.sum() - y.cumsum(0)) / (y.sum() + (1 - y).cumsum(0))
        jaccard[1:] = jaccard[1:] - jaccard[:-1]
        return F.relu(errors) @ jaccard.float()

    def surface_dice(logits: Tensor, label: Tensor, valid: Tensor) -> Tensor:
        section = config.surface_dice
        mask = valid[:, None].float()
        width = 2 * section.tolerance + 1
        reach = 2 * (section.iterations + section.tolerance + 1) + 1
        counted = 1 - F.max_pool3d(1 - mask, reach, stride=1, padding=reach // 2)
        surfaces = [
            cube_skeleton(x * mask, section.iterations)
            for x in (torch.sigmoid(logits), (label == 1)[:, None].float())
        ]
        near = [F.max_pool3d(x, width, stride=1, padding=width // 2) for x in surfaces]
        both = (surfaces[0] * near[1] * counted).sum() + (surfaces[1] * near[0] * counted).sum()
        total = sum((x * counted).sum() for x in surfaces)
        return 1 - (both + section.smooth) / (total + section.smooth)

    return {
        "tversky": tversky,
        "symmetric_cross_entropy": symmetric_cross_entropy,
        "lovasz": lovasz,
        "surface_dice": surface_dice,
    }


def cube_skeleton(x: Tensor, iterations: int) -> Tensor:
    def eroded(level: Tensor) -> Tensor:
        return -F.max_pool3d(-level, 3, stride=1, padding=1)

    def ridge(level: Tensor) -> Tensor:
        return F.relu(level - F.max_pool3d(eroded(level), 3, stride=1, padding=1))

    skeleton = ridge(x)
    for _ in range(iterations):
        x = eroded(x)
        skeleton = skeleton + F.relu(ridge(x) - skeleton * ridge(x))
    return skeleton


def step(loss: Callable[[Tensor], Tensor], logits: Tensor) -> None:
    """Forward and backward once."""
    leaf = logits.clone().requires_grad_()
    loss(leaf).backward()


def kept(loss: Callable[[Tensor], Tensor], logits: Tensor) -> float:
    """Bytes a voxel that autograd holds between forward and backward, the logits not counted."""
    leaf = logits.clone().requires_grad_()
    storages = {}

    def pack(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        value = loss(leaf)
    storages.pop(leaf.untyped_storage().data_ptr(), None)
    total = sum(tensor.untyped_storage().nbytes() for tensor in storages.values())
    del value
    return total / logits.numel()


if __name__ == "__main__":
    main()
