"""A lesson's source is run as its notebook: not imported a second time in search of doctests."""

collect_ignore = ["source"]
