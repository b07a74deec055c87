from tests.inference.blocks.conftest import volume

__all__ = ["volume"]
