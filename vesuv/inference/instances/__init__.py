"""From boundary probabilities to instances: watershed fragments, and their agglomeration."""
