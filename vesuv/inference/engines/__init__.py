"""Where the blocks of a prediction are processed: this process, or a cluster."""
