import pytest

from bench.mutants import ROOMS
from bench.mutating.trial import REPOSITORY, Mutant

MUTANTS = [mutant for mutants in ROOMS.values() for mutant in mutants]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_bug_changes_one_place_and_stays_python(mutant: Mutant) -> None:
    text = mutant.source().read_text()

    assert text.count(mutant.before) == 1
    changed = text.replace(mutant.before, mutant.after)
    assert changed != text
    compile(changed, str(mutant.source()), "exec")
    assert all((REPOSITORY / place).exists() for places in mutant.tests() for place in places)
