"""Bundle: one folder with trained networks and all that their predictions need.

    bundle.json             format_version, and of each network: weight in the mean, normalizer,
                            selection, training images; digests of the other files
    <name>.safetensors      weights of a network
    <name>.yaml             its configuration
    model_card.md           description for people
    <name>.onnx             on request: the network as ONNX, float32, edges of any size
    processing.json         on request: what surrounds the ONNX networks

Reading a bundle executes no code of its files.
"""

from vesuv.inference.bundle.card import model_card
from vesuv.inference.bundle.facts import training_facts
from vesuv.inference.bundle.reading import is_bundle, open_bundle, open_bundles
from vesuv.inference.bundle.reuse import common_licence, with_text_of
from vesuv.inference.bundle.writing import write_bundle

__all__ = [
    "common_licence",
    "is_bundle",
    "model_card",
    "open_bundle",
    "open_bundles",
    "training_facts",
    "with_text_of",
    "write_bundle",
]
