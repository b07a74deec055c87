"""Pictures of data, predictions and distributions."""
