"""Cells made of equations."""
