"""Page of a run, and PNG figures of data, predictions and distributions."""
