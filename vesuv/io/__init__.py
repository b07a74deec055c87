"""Files: volumes of every format, tables, and the one way to write."""
