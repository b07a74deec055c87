"""The machine that a run uses: device, precision, threads, processes, interruption."""
