"""Training of a network; read trainer.py first."""
