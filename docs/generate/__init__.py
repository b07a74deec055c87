"""Pages that are generated from the code, and the pictures of the gallery."""
