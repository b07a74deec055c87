import torch

from vesuv.transforms.padding import centre_in_box, pad_to_box


def test_a_padded_volume_keeps_its_voxels_and_the_value_fills_the_rest() -> None:
    volume = torch.tensor([[[1, 2], [3, 4]]])

    box = pad_to_box(volume, (1, 0, 2), (2, 3, 4), 9)

    assert box.tolist() == [
        [[9, 9, 9, 9], [9, 9, 9, 9], [9, 9, 9, 9]],
        [[9, 9, 1, 2], [9, 9, 3, 4], [9, 9, 9, 9]],
    ]


def test_leading_dims_are_kept_and_a_full_box_is_the_volume_itself() -> None:
    volume = torch.ones(2, 3, 4, 5, 6)

    assert pad_to_box(volume, (0, 1, 0), (4, 6, 7)).shape == (2, 3, 4, 6, 7)
    assert pad_to_box(volume, (0, 0, 0), (4, 5, 6)) is volume


def test_only_short_axes_are_padded_on_both_sides() -> None:
    image = torch.ones(2, 3, 4, 9)

    padded, inside = centre_in_box(image, (6, 8, 8))

    assert padded.shape == (2, 6, 8, 9)
    assert inside == (slice(1, 4), slice(2, 6), slice(0, 9))
    assert torch.equal(padded[:, *inside], image)
    assert padded.sum() == image.sum()


def test_edges_are_repeated_on_request() -> None:
    volume = torch.tensor([[[1, 2], [3, 4]]], dtype=torch.uint8)

    box = pad_to_box(volume, (1, 0, 1), (2, 2, 5), "edge")

    rows = [[1, 1, 2, 2, 2], [3, 3, 4, 4, 4]]
    assert box.tolist() == [rows, rows]
    assert box.dtype == torch.uint8
    assert pad_to_box(volume, (0, 0, 0), (1, 2, 2), "edge") is volume
