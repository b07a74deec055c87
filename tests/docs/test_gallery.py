"""Pictures of the gallery: made by the scripts as they are, one for each part of the library."""

from __future__ import annotations

import pytest

from docs.gallery import cache
from docs.gallery.drawing import IMAGES
from docs.gallery.losses import mask_losses
from tests.docs.pages import text_of
from vesuv.config.data import AugmentConfig
from vesuv.diagnosis import FINDINGS
from vesuv.inference.postprocess import STEPS
from vesuv.losses import LOSSES

PARTS = {
    "losses": list(mask_losses()),
    "augmentation": list(AugmentConfig.model_fields),
    "postprocessing": list(STEPS),
    "findings": list(FINDINGS),
    "instances": ["cells", "objects", "agglomeration", "seed_smoothing"],
    "viewing": ["classes", "values", "instances", "contact_sheet", "surface"],
}


@pytest.mark.parametrize("script", cache.SCRIPTS)
def test_the_pictures_were_made_by_the_script_as_it_is(script: str) -> None:
    assert cache.is_fresh(script), f"run: python -m docs.gallery {script}"


@pytest.mark.parametrize("script", cache.SCRIPTS)
def test_each_part_has_a_picture_and_no_picture_is_left_over(script: str) -> None:
    pictures = {path.stem for path in (IMAGES / script).glob("*.png")}

    assert pictures == set(PARTS[script])


@pytest.mark.parametrize("script", [name for name in PARTS if name != "findings"])
def test_each_part_has_a_heading_with_its_picture(script: str) -> None:
    text = text_of(f"gallery/{script}.md")

    for name in PARTS[script]:
        assert f"\n## {name}\n" in text, name
        assert f"(../images/{script}/{name}.png)" in text, name


def test_each_loss_has_a_heading_also_without_a_picture() -> None:
    for name in LOSSES:
        assert f"\n## {name}\n" in text_of("gallery/losses.md"), name


def test_a_changed_script_is_not_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "digest", lambda _name: "another")

    assert not cache.is_fresh("losses")
