"""Sources: what a person names one by, and the backbone it stands for."""

import hashlib

import numpy as np

from tlteach.backbones import Backbone, load_backbone


def named_sources(sources):
    """Return a dict from a source's name to a `Backbone` or the keyword arguments of `load_backbone`.

    Args:
        sources: A name of a backbone, such arguments, or a `Backbone`; a list of them; or a dict from names of
            one's own to them.

    Raises:
        ValueError: If there is none, or two have one name.
    """
    if isinstance(sources, dict) and "name" not in sources:
        return {str(name): _wanted(source) for name, source in sources.items()}
    listed = [sources] if isinstance(sources, str | dict | Backbone) else list(sources)
    names = [_name(source) for source in listed]
    if not names or len(set(names)) < len(names):
        raise ValueError(
            "there must be a source, and each needs a name of its own: give them in a dict, "
            f'such as {{"photographs": "resnet50", "speech": "speech"}}. Received: {names}.'
        )
    return {name: _wanted(source) for name, source in zip(names, listed, strict=True)}


def _name(source):
    named = source.name if isinstance(source, Backbone) else source["name"] if isinstance(source, dict) else source
    return str(named)


def _wanted(source):
    if isinstance(source, Backbone | dict):
        return source
    if not isinstance(source, str):
        raise ValueError(
            "a source must be the name of a backbone, the keyword arguments of load_backbone as a dict, or a Backbone. "
            f"Received: {source!r}."
        )
    return {"name": source}


def load_named(sources):
    """Return a dict from a source's name to its `Backbone`.

    Args:
        sources: As in `named_sources`.
    """
    wanted = named_sources(sources)
    return {name: load_backbone(**each) if isinstance(each, dict) else each for name, each in wanted.items()}


def weights_hash(backbone):
    """Return a hash of a backbone's weights, 40 characters.

    Args:
        backbone: A `Backbone`.
    """
    told = hashlib.blake2b(digest_size=20)
    for array in backbone.model.get_weights():
        told.update(np.ascontiguousarray(array))
    return told.hexdigest()
