"""One entry function for each verb of the command line: where the rooms meet."""
