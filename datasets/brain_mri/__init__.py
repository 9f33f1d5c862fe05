"""Slices of the brain by magnetic resonance, simulated (mini) and of patients with a tumour (full)."""
