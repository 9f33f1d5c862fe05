"""Reviews of films, restaurants and gadgets: written for the lessons (mini) and published (full)."""
