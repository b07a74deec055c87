import pytest
import torch

from vesuv.training.non_finite import NonFiniteWatch
from vesuv.training.step import StepResult


def result(
    *, inputs: list[bool], outputs: list[bool], loss: float = 1.0, skipped: bool = True
) -> StepResult:
    return StepResult(
        torch.tensor(loss),
        {},
        torch.tensor(float("nan")),
        torch.tensor(float(skipped)),
        torch.tensor(inputs),
        torch.tensor(outputs),
    )


@pytest.mark.parametrize(
    ("made", "line"),
    [
        (result(inputs=[True, False], outputs=[True, False]), "the input is not finite for case b"),
        (result(inputs=[True, True], outputs=[False, False]),
         "the network's output is not finite for case a, b"),
        (result(inputs=[True, True], outputs=[True, True], loss=float("inf")),
         "the loss is not finite; patches of case a, b"),
        (result(inputs=[True, True], outputs=[True, True]),
         "the gradient is not finite; patches of case a, b"),
    ],
)  # fmt: skip
def test_the_first_thing_that_was_not_finite_is_named(made: StepResult, line: str) -> None:
    watch = NonFiniteWatch()
    fine = result(inputs=[True, True], outputs=[True, True], skipped=False)
    for step, one in enumerate((fine, made, fine)):
        watch.see(step, ("a", "b"), one)

    [skipped] = watch.look()

    assert skipped.step == 1
    assert skipped.line == f"step 1 skipped, weights unchanged: {line}"
    assert watch.look() == []
