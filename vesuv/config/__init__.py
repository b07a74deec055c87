"""YAML into frozen, typed sections; an unknown, missing or mistyped key is refused by name."""

from vesuv.config.load import as_config, check, dump_config, load_config
from vesuv.config.root import Config
from vesuv.config.text import parse_yaml, read_text

__all__ = ["Config", "as_config", "check", "dump_config", "load_config", "parse_yaml", "read_text"]
