"""Readers of label formats."""
