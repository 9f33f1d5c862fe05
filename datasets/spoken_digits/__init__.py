"""The ten digits, said by synthetic voices (mini) and by people (full)."""
