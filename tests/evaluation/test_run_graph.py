import numpy as np

from vesuv.evaluation.run_graph import FlatLayout, run_graph


def test_lines_of_a_hand_made_mask_become_runs_and_contacts() -> None:
    mask = np.zeros((4, 1, 2), bool)
    mask[[0, 1, 3], 0, 0] = True  # two runs along the first axis
    mask[:, 0, 1] = True  # one run that touches both
    layout = FlatLayout((4, 1, 2))

    graph = run_graph(layout, layout.flatten(mask))

    assert graph.num_runs == 3
    assert sorted(zip(*(ends.tolist() for ends in graph.ends), strict=True)) == [(0, 2), (1, 2)]
    assert graph.along_third.tolist() == [0, 3]
    assert graph.along_second.tolist() == []


def test_neighbours_lie_the_steps_of_the_grid_apart() -> None:
    layout = FlatLayout((2, 3, 4))
    mask = np.zeros((2, 3, 4), bool)
    mask[0, 0, 0] = mask[1, 0, 0] = mask[0, 1, 0] = mask[0, 0, 1] = True

    assert np.flatnonzero(layout.flatten(mask)).tolist() == [0, 1, layout.third, layout.second]
