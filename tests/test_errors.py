import pickle
import shlex

from vesuv.errors import InputErrors, command


def test_several_faults_are_one_line_each_also_from_another_process() -> None:
    faults = InputErrors(["a: first", "b: second"])

    for error in (faults, pickle.loads(pickle.dumps(faults))):
        assert error.faults == ["a: first", "b: second"]
        assert str(error) == "a: first\nb: second"


def test_a_command_is_quoted_as_a_shell_needs_it() -> None:
    words = ("--config", "my data/Größe.yaml", "--set", "labels.ignore=2", "data.cubes=[a, b]", "…")

    text = command("train", *words)

    assert text == (
        "vesuv train --config 'my data/Größe.yaml' --set labels.ignore=2 'data.cubes=[a, b]' …"
    )
    assert tuple(shlex.split(text)[2:]) == words
