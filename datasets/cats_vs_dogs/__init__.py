"""Cats and dogs, drawn (mini) and photographed (full)."""
