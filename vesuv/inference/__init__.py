"""Prediction of whole volumes by networks that take patches."""
