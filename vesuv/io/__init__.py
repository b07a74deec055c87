"""Files: volumes of every format, tables, and atomic writing."""
