"""How a network is trained; read trainer.py first."""
