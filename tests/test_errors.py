import pickle

from vesuv.errors import InputErrors


def test_several_faults_are_one_line_each_also_from_another_process() -> None:
    faults = InputErrors(["a: first", "b: second"])

    for error in (faults, pickle.loads(pickle.dumps(faults))):
        assert error.faults == ["a: first", "b: second"]
        assert str(error) == "a: first\nb: second"
