"""Device, precision, threads, processes and interruption of a run."""
