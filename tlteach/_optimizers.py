"""The optimizer of one phase: its rate over the steps and by stage, and what draws weights to zero or to the source."""

import keras

from tlteach._stages import HEAD, find_stages

KINDS = {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD}
SCHEDULES = ("constant", "cosine", "one_cycle")
_WARM_UP = {"cosine": 0.1, "one_cycle": 0.3}  # share of the steps in which the rate rises
_BEGIN = {"cosine": 0.0, "one_cycle": 1 / 25}  # share of the highest rate to begin with

_NOT_DECAYED = ("bias", "gamma", "beta")  # to pull these to zero regularises nothing


def optimizer_for(phase, model, steps, *, source=None):
    """Make a phase's optimizer.

    Args:
        phase: `Phase`.
        model: The whole model: its stages say which variable gets which rate.
        steps: How many steps the phase takes at most.
        source: What `source_of` returned, for a phase with a pull.
    """
    rates = phase.learning_rate
    peak = max(rates.values()) if isinstance(rates, dict) else rates
    rate = _over_steps(phase.schedule, peak, steps)
    kind = KINDS[phase.optimizer]
    if isinstance(rates, dict):
        kind = _by_stage(kind, _shares_of_variables(model, {stage: own / peak for stage, own in rates.items()}))
    if phase.source_pull:
        kind = _pulled(kind, phase.source_pull, source)
    optimizer = kind(rate, weight_decay=phase.weight_decay or None)
    if phase.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=list(_NOT_DECAYED))
    return optimizer


def source_of(model, phases):
    """Return what the backbone holds before any phase, as arrays by the id of their variables.

    Args:
        model: The whole model.
        phases: List of `Phase`; nothing is copied if none of them pulls.
    """
    if not any(phase.source_pull for phase in phases):
        return {}
    head = find_stages(model).get(HEAD, ())
    backbone = [layer for layer in model.layers if layer.name not in head]
    return {id(v): keras.ops.convert_to_numpy(v).copy() for layer in backbone for v in layer.weights}


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


def _pulled(kind, pull, source):
    """Make a kind of optimizer that takes each variable a share of the way back to its source before each step.

    That is L2-SP (Li et al. 2018), apart from the gradient as weight decay is: Adam would divide the way
    back by the size of the gradients.
    """
    places = []  # not the optimizer's own: a model saved in mid-phase has no more state than plain Keras reads

    def build(self, variables):
        places[:] = [keras.ops.convert_to_tensor(source[id(v)]) if id(v) in source else None for v in variables]
        kind.build(self, variables)

    def update_step(self, gradient, variable, learning_rate):
        place = places[self._get_variable_index(variable)]
        if place is not None:
            share = keras.ops.cast(learning_rate, variable.dtype) * pull
            self.assign_sub(variable, share * (keras.ops.convert_to_tensor(variable) - place))
        kind.update_step(self, gradient, variable, learning_rate)

    return type(kind.__name__, (kind,), {"build": build, "update_step": update_step, "__module__": kind.__module__})
