"""The recipe for texts: the probe, and a language backbone fine-tuned as a whole where validation can tell."""

from tlteach._stages import HEAD
from tlteach._tuning import ENOUGH_MISTAKES, mistakes_of, outcome, tune, unseen_by_probe, unseen_by_tuned
from tlteach.features import extract_features
from tlteach.finetune import Phase, gradual_unfreezing
from tlteach.heads import attach_head, linear_probe

ENOUGH_TEXTS = 100  # on validation; with fewer, fine-tuning a language backbone gained nothing over its probe
EPOCHS, RATE = 4, 0.013  # the rate is divided by the backbone's width: 1.7e-5 for BERT's 768


def learn_texts(backbone, splits, *, phases=None, seed=0, store="default"):
    """Return the model, the run (or none), the sentence that says why, and `Unseen`.

    A language backbone in full size is fine-tuned for a few epochs, where validation has a
    hundred texts to tell by whether that helps. Of the mini BERT the probe is all, since
    fine-tuning it gained nothing with 100 or 2,000 labels.

    Args:
        backbone: A `Backbone` that takes texts.
        splits: `Splits` of texts; the test split is not touched.
        phases: How many stages to fine-tune; `None` lets validation decide.
        seed: Seed of all that is random.
        store: As in `extract_features`.

    Reference:
        Sun et al. 2019, How to fine-tune BERT for text classification.
    """
    features = extract_features(backbone, splits, store=store)
    probe = linear_probe(features, seed=seed)
    mistakes, count = mistakes_of(probe, features.val), len(features.val.y)
    told = f"the linear probe made {mistakes} mistakes on {count} validation texts"
    why = "and the probe alone was asked for" if phases == 0 else _why_not(backbone, mistakes, count)
    unseen = unseen_by_probe(probe, features.val)
    if phases == 0 or (phases is None and why):
        return _probe_alone(backbone, features, seed), None, f"Linear probe, no fine-tuning: {told}, {why}.", unseen
    model = attach_head(backbone, probe)
    planned = gradual_unfreezing(backbone, phases) if phases else whole(backbone)
    run = tune(model, splits, planned, greedy=phases is None, seed=seed)
    helped, decision = outcome(run, told)
    if helped:
        return model, run, decision, unseen_by_tuned(model, splits.val, final=True)
    return _probe_alone(backbone, features, seed), run, decision, unseen


def _why_not(backbone, mistakes, count):
    """Say why fine-tuning need not be tried; nothing if it should be."""
    if backbone.size == "mini":
        return "and fine-tuning so small a language backbone gains nothing over it"
    few = count < ENOUGH_TEXTS or mistakes < ENOUGH_MISTAKES
    return "too few for fine-tuning to be seen to help" if few else ""


def whole(backbone):
    """Plan the one phase that a language backbone is fine-tuned in, all of it, as BERT was (Devlin et al. 2019).

    Args:
        backbone: A `Backbone`.

    Returns:
        List of one `Phase`.
    """
    rate = RATE / backbone.model.output_shape[-1]
    return [Phase((*backbone.stages, HEAD), EPOCHS, rate, schedule="cosine", patience=EPOCHS, batch_size=16)]


def _probe_alone(backbone, features, seed):
    return attach_head(backbone, linear_probe(features, with_val=True, seed=seed))
