import numpy as np
import pytest

from bench.error_kinds import (
    BREAK,
    DISPLACED,
    FACE,
    IGNORED,
    KINDS,
    REST,
    TOUCHING,
    KindShare,
    breaks,
    conditions,
    contacts,
    first_kind,
    near,
    near_border,
    near_faces,
    near_two_objects,
    shares,
    total,
    without_specks,
)
from vesuv.types import Mask


def _sheet() -> Mask:
    """A sheet of two voxels across a cube: z = 5 and 6."""
    sheet = np.zeros((12, 12, 12), bool)
    sheet[5:7] = True
    return sheet


def _counts(masks: dict[str, Mask], prediction: Mask) -> dict[str, tuple[int, int, int]]:
    return {
        one.kind: (one.false_positives, one.false_negatives, one.any_wrong)
        for one in shares(masks, prediction)
    }


def test_near_counts_euclidean_distance_and_nothing_is_near_an_empty_mask() -> None:
    mask = np.zeros((1, 5, 5), bool)
    mask[0, 2, 2] = True

    assert near(mask, 1)[0].astype(int).tolist() == [
        [0, 0, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 1, 1, 1, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0],
    ]
    assert not near(np.zeros((1, 5, 5), bool), 9).any()


def test_touching_zones_lie_near_two_different_objects() -> None:
    objects = np.array([[[1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 2, 0]]], np.uint32)

    assert near_two_objects(objects, 2).ravel().astype(int).tolist() == [0, 0, 1] + [0] * 9


def test_three_objects_around_a_voxel_are_at_least_two() -> None:
    objects = np.array([[[1, 0, 2], [0, 0, 0], [3, 0, 0]]], np.uint32)

    assert near_two_objects(objects, 1)[0].astype(int).tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0]]


def test_a_hole_through_a_sheet_is_a_break_and_a_layer_of_one_side_is_none() -> None:
    hole = np.zeros((12, 12, 12), bool)
    hole[5:7, 4, 4] = True
    layer = np.zeros((12, 12, 12), bool)
    layer[5, 8:11, 8:11] = True

    found = breaks(hole | layer, ~_sheet())

    assert np.array_equal(found, hole)


def test_of_a_layer_beside_a_hole_only_the_neighbours_of_the_hole_count() -> None:
    missed = np.zeros((12, 12, 12), bool)
    missed[5:7, 4, 4] = True
    missed[5, 4, 5:10] = True

    found = breaks(missed, ~_sheet())

    assert sorted(map(tuple, np.argwhere(found).tolist())) == [(5, 4, 4), (5, 4, 5), (6, 4, 4)]


def test_a_bite_out_of_the_end_of_a_sheet_is_no_break() -> None:
    sheet = _sheet()
    sheet[:, :, 6:] = False
    missed = np.zeros((12, 12, 12), bool)
    missed[5:7, 4, 5] = True

    assert not breaks(missed, ~sheet).any()
    missed[5:7, 4, 5] = False
    missed[5:7, 4, 2] = True
    assert breaks(missed, ~sheet).sum() == 2


def test_faces_are_the_outermost_voxels_of_every_axis() -> None:
    faces = near_faces((5, 6, 7), 2)

    assert faces.sum() == 5 * 6 * 7 - 1 * 2 * 3
    assert not faces[2, 2:4, 2:5].any()
    assert near_faces((3, 9, 9), 2).all()


def test_borders_have_two_sides_and_ignored_voxels_are_of_neither_class() -> None:
    foreground = np.array([[[0, 0, 1, 1, 1, 0, 0]]], bool)
    valid = np.array([[[1, 1, 1, 1, 1, 0, 1]]], bool)

    border = near_border(foreground, 1, valid)

    assert border.ravel().astype(int).tolist() == [0, 1, 1, 0, 0, 0, 0]


def test_specks_are_left_out() -> None:
    mask = np.array([[[1, 0, 1, 1, 0, 1, 1, 1]]], bool)

    kept, numbers = without_specks(mask, 2)

    assert kept.ravel().astype(int).tolist() == [0, 0, 1, 1, 0, 1, 1, 1]
    assert numbers.ravel().tolist() == [0, 0, 2, 2, 0, 3, 3, 3]


def test_each_wrong_voxel_counts_for_its_first_kind() -> None:
    foreground = np.zeros((30, 30, 30), bool)
    foreground[14:16] = True
    valid = np.ones(foreground.shape, bool)
    valid[25, 15, 15] = False
    prediction = foreground.copy()
    prediction[14:16, 15, 15] = False  # a hole
    prediction[13, 20, 20] = True  # one voxel from the border
    prediction[14, 10, 10] = False  # a layer at one side
    prediction[22, 15, 15] = True  # three voxels from the ignored one
    prediction[8, 1, 15] = True  # one voxel from a face
    prediction[8, 15, 15] = True
    prediction[25, 15, 15] = True  # not judged

    masks = conditions(prediction, foreground, valid, objects="background", smallest=50)

    assert _counts(masks, prediction) == {
        TOUCHING: (0, 0, 0),
        BREAK: (0, 2, 2),
        IGNORED: (1, 0, 1),
        FACE: (1, 0, 1),
        DISPLACED: (1, 1, 4),
        REST: (1, 0, 7),
    }


def test_a_membrane_of_one_voxel_is_a_touching_zone() -> None:
    foreground = np.zeros((20, 20, 20), bool)
    foreground[10] = True
    prediction = foreground.copy()
    prediction[9, 10, 10] = prediction[8, 5, 5] = True
    valid = np.ones(foreground.shape, bool)

    masks = conditions(prediction, foreground, valid, objects="background", smallest=50)

    assert _counts(masks, prediction)[TOUCHING] == (1, 0, 1)
    assert _counts(masks, prediction)[REST] == (1, 0, 2)


def test_between_sheets_the_objects_are_the_sheets() -> None:
    foreground = np.zeros((30, 30, 30), bool)
    foreground[[10, 14], 6:24, 6:24] = True
    valid = np.ones(foreground.shape, bool)
    prediction = foreground.copy()
    prediction[12, 15, 15] = True

    as_sheets = conditions(prediction, foreground, valid, objects="foreground", smallest=50)
    as_cells = conditions(prediction, foreground, valid, objects="background", smallest=50)

    assert _counts(as_sheets, prediction)[TOUCHING] == (1, 0, 1)
    assert _counts(as_cells, prediction)[REST] == (1, 0, 1)


def test_kinds_are_numbered_in_their_order() -> None:
    masks = {kind: np.zeros((1, 1, len(KINDS)), bool) for kind in KINDS}
    for index, kind in enumerate(KINDS):
        masks[kind][..., : index + 1] = True

    assert first_kind(masks).ravel().tolist() == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("num_cases", [1, 3])
def test_counts_of_cases_are_added(num_cases: int) -> None:
    case = [KindShare(BREAK, 0, 2, 3), KindShare(REST, 4, 5, 6)]

    assert total([case] * num_cases) == [
        KindShare(BREAK, 0, 2 * num_cases, 3 * num_cases),
        KindShare(REST, 4 * num_cases, 5 * num_cases, 6 * num_cases),
    ]


def test_contacts_lie_where_a_face_has_no_air_before_it() -> None:
    face, air = np.zeros((20, 8, 30), bool), np.zeros((20, 8, 30), bool)
    face[10:13] = True
    air[6:10, :, :15] = True  # free up to 15, behind it the sheet before reaches the face

    zone = contacts(face, air)

    # the first voxel further than 3 from the air is at 15, in the last layer; 2 more lie around it
    assert not zone[:, :, :13].any()
    assert zone[12, 4, 13]
    assert zone[8:15, 4, 22:].all()
    assert not zone[:8].any()
    assert not zone[15:].any()


def test_known_contacts_take_the_place_of_two_objects() -> None:
    foreground = np.zeros((12, 12, 12), bool)
    foreground[5] = True
    known = np.zeros_like(foreground)
    known[6, 3, 3] = True
    everywhere = np.ones_like(foreground)

    masks = conditions(
        everywhere, foreground, everywhere, objects="background", smallest=1, touching=known
    )

    assert np.array_equal(masks[TOUCHING], known)
