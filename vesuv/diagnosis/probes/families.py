"""Families of image features by fixed filters: geometric and textural ones.

Geometric features answer to edges, sheets, tubes and their continuity; textural ones to local
patterns: intensities, their spread and blobs. Contextual features need a network.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float32]

_EDGE_SIGMAS = (1.0, 2.0)
_TEXTURE_SIGMAS = (1.0, 2.0, 4.0)


def geometric_features(image: Floats) -> Floats:
    """Return gradient magnitude and sorted Hessian eigenvalues at two scales, (f, z, y, x).

    Args:
        image: Normalised intensities, (c, z, y, x).

    Source:
        Frangi et al. 1998, Multiscale vessel enhancement filtering, for sheets and tubes as
        eigenvalues of the Hessian matrix.
    """
    features = []
    for channel in image:
        for sigma in _EDGE_SIGMAS:
            features.append(ndimage.gaussian_gradient_magnitude(channel, sigma) * sigma)
            features += list(_hessian_eigenvalues(channel, sigma))
    return np.stack(features).astype(np.float32)


def textural_features(image: Floats) -> Floats:
    """Return intensities, their local mean and spread, and blobs at three scales, (f, z, y, x).

    Args:
        image: Normalised intensities, (c, z, y, x).
    """
    features = []
    for channel in image:
        features.append(channel)
        for sigma in _TEXTURE_SIGMAS:
            mean = ndimage.gaussian_filter(channel, sigma)
            mean_of_squares = ndimage.gaussian_filter(channel * channel, sigma)
            spread = np.sqrt(np.maximum(mean_of_squares - mean * mean, 0.0))
            features += [mean, spread, ndimage.gaussian_laplace(channel, sigma) * sigma**2]
    return np.stack(features).astype(np.float32)


def _hessian_eigenvalues(channel: Floats, sigma: float) -> Floats:
    """Return the eigenvalues of the Hessian of a smoothed volume, smallest first, (3, z, y, x)."""
    hessian = np.empty((*channel.shape, 3, 3), np.float32)
    for i in range(3):
        for j in range(i, 3):
            order = [0, 0, 0]
            order[i] += 1
            order[j] += 1
            second = ndimage.gaussian_filter(channel, sigma, order=order) * sigma**2
            hessian[..., i, j] = hessian[..., j, i] = second
    eigenvalues = np.asarray(np.linalg.eigvalsh(hessian), np.float32)
    return np.moveaxis(eigenvalues, -1, 0)
