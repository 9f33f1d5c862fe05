"""The optimizer of one phase: its learning rate over the steps, and a rate of its own for each stage."""

import keras

from tlteach._stages import find_stages

KINDS = {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD}
SCHEDULES = ("constant", "cosine", "one_cycle")
_WARM_UP = {"cosine": 0.1, "one_cycle": 0.3}  # share of the steps in which the rate rises
_BEGIN = {"cosine": 0.0, "one_cycle": 1 / 25}  # share of the highest rate to begin with

_NOT_DECAYED = ("bias", "gamma", "beta")  # to pull these to zero regularises nothing


def optimizer_for(phase, model, steps):
    """Make a phase's optimizer.

    Args:
        phase: `Phase`.
        model: The whole model: its stages say which variable gets which rate.
        steps: How many steps the phase takes at most.
    """
    rates = phase.learning_rate
    peak = max(rates.values()) if isinstance(rates, dict) else rates
    rate = _over_steps(phase.schedule, peak, steps)
    kind = KINDS[phase.optimizer]
    if isinstance(rates, dict):
        kind = _by_stage(kind, _shares_of_variables(model, {stage: own / peak for stage, own in rates.items()}))
    optimizer = kind(rate, weight_decay=phase.weight_decay or None)
    if phase.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=list(_NOT_DECAYED))
    return optimizer


def _over_steps(schedule, peak, steps):
    """Constant; or warm-up and a cosine (Loshchilov and Hutter 2017); or one cycle (Smith 2018)."""
    if schedule == "constant":
        return peak
    rising = max(1, round(steps * _WARM_UP[schedule]))
    return keras.optimizers.schedules.CosineDecay(
        peak * _BEGIN[schedule], max(1, steps - rising), warmup_target=peak, warmup_steps=rising
    )


def _shares_of_variables(model, shares):
    stage_of = {name: stage for stage, names in find_stages(model).items() for name in names}
    return {id(v): shares.get(stage_of.get(layer.name)) for layer in model.layers for v in layer.trainable_variables}


def _by_stage(kind, shares):
    """Make a kind of optimizer whose steps, not gradients, are scaled: Adam would undo a scaled gradient.

    It bears its parent's name, so that a model saved in mid-phase is read by plain Keras. Keras' own
    `MultiOptimizer` has no learning rate that a callback could read or set.
    """

    def build(self, variables):
        self.shares = [shares[id(v)] for v in variables]
        kind.build(self, variables)

    def update_step(self, gradient, variable, learning_rate):
        kind.update_step(self, gradient, variable, learning_rate * self.shares[self._get_variable_index(variable)])

    return type(kind.__name__, (kind,), {"build": build, "update_step": update_step, "__module__": kind.__module__})
