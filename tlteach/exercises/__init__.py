"""The checks of the exercises, a module a lesson: what is right, which mistakes are known, and the hints."""
