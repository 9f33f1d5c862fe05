"""Search: settings of a phase that validation prefers, tried one after another and written down."""

from dataclasses import fields, replace

import keras
import optuna
from tqdm import tqdm

from tlteach._assets import cache_dir
from tlteach._checkpoint import run_key
from tlteach._stages import HEAD
from tlteach.features import extract_features
from tlteach.finetune import Phase, fine_tune
from tlteach.heads import attach_head, linear_probe

_DROPOUT = "dropout"  # the one setting that is the head's and not the phase's
_AT_RANDOM = 6  # trials before the estimator has something to go by
_FIELDS = [field.name for field in fields(Phase)]


def search_phase(backbone, data, space, *, phase=None, trials=20, seed=0):
    """Try settings of a phase and keep the record; validation's log loss says which is best.

    Each trial begins anew: a phase that trains the head alone from a head of zeros, one that
    trains stages too from the solved probe. What is frozen is run once for all trials. Optuna's
    tree-structured Parzen estimator chooses what to try next. Not for ranking models: the best of
    many trials looks better on validation than it is.

    Args:
        backbone: A `Backbone`.
        data: `Splits`; the test split is not touched.
        space: Dict from a field of `Phase`, or `"dropout"` (before the head), to what is tried:
            `(low, high)` for numbers, spaced logarithmically if they span a factor of ten or
            more; a list of choices; or a dict from a choice's name to its value.
        phase: The `Phase` that is varied; the head alone if `None`.
        trials: How many, those of an earlier call with the same arguments included.
        seed: Seed of the search, and of each trial's training.

    Returns:
        `optuna.Study`; each trial has `user_attrs` accuracy, epoch and seconds. After Ctrl-C, what
        there is.

    Raises:
        ValueError: If the space names what there is not.

    Side effects:
        Writes the record to the cache folder, so that the same call goes on. The backbone's weights
        are put back.

    Example:
        >>> import tlteach as tl
        >>> vgg, pets = tl.load_backbone("vgg16", "mini"), tl.load_dataset("cats_vs_dogs", "mini")
        >>> space = {"learning_rate": (1e-4, 1e-1), "weight_decay": [0.0, 0.1]}
        >>> study = tl.search_phase(vgg, tl.subset(pets, 40), space, phase=tl.Phase(epochs=2), trials=2)
        >>> sorted(study.best_params)
        ['learning_rate', 'weight_decay']

    Reference:
        Akiba et al. 2019, Optuna; Bergstra et al. 2011, Algorithms for Hyper-Parameter
        Optimization; lesson 04.
    """
    trial_of = _Trials(backbone, data, _checked(space), phase or Phase(epochs=30), seed)
    study = _study(trial_of.key)
    done = _count(study)
    with tqdm(total=max(trials, done), initial=done, desc="search", unit="trial", delay=2, leave=False) as bar:
        try:
            for number in range(done, trials):
                # draws depend on the trial's number alone: a search that goes on draws what it would have drawn
                study.sampler = optuna.samplers.TPESampler(seed=1000 * seed + number, n_startup_trials=_AT_RANDOM)
                study.optimize(trial_of, n_trials=1)
                bar.update()
        except KeyboardInterrupt:
            pass
    return study


def _checked(space):
    unknown = sorted(set(space) - {*_FIELDS, _DROPOUT})
    if unknown or not space:
        raise ValueError(
            f"space must name fields of Phase ({', '.join(_FIELDS)}) or {_DROPOUT!r}. Received: {unknown or 'none'}."
        )
    for name, tried in space.items():
        rising = isinstance(tried, tuple) and len(tried) == 2 and tried[0] < tried[1]
        if not rising and not (isinstance(tried, list | dict) and tried):
            raise ValueError(
                f"what is tried must be (low, high), a list or a dict from name to value. Received: {name}={tried!r}."
            )
    return space


def _study(key):
    """Open the record that belongs to one call."""
    path = cache_dir() / "searches" / f"{key}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    backend = optuna.storages.journal.JournalFileBackend(str(path))
    return optuna.create_study(
        storage=optuna.storages.JournalStorage(backend), study_name=key, load_if_exists=True, direction="minimize"
    )


def _count(study):
    return len(study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE]))


class _Trials:
    """One trial after another: the settings that Optuna suggests, trained from the same beginning."""

    def __init__(self, backbone, data, space, phase, seed):
        self.backbone, self.data, self.space, self.phase, self.seed = backbone, data, space, phase, seed
        self.before = [keras.ops.convert_to_numpy(v) for v in backbone.model.variables]
        self.head = self._solved() if phase.train != (HEAD,) else None

    @property
    def key(self):
        """What the search depends on."""
        told = keras.saving.serialize_keras_object(self.space)
        return run_key(self._model({}), self.data, [self.phase], [self.seed, told])

    def __call__(self, trial):
        """Train with what the trial suggests; return the log loss on validation."""
        chosen = {name: _suggested(trial, name, tried) for name, tried in self.space.items()}
        model = self._model(chosen)
        try:
            run = fine_tune(model, self.data, self._phase(chosen), seed=self.seed)
        finally:
            for variable, value in zip(self.backbone.model.variables, self.before, strict=True):
                variable.assign(value)
        if run.interrupted:
            raise KeyboardInterrupt
        kept = run.history.iloc[int(run.plan["kept epoch"].iloc[0])]
        for name, value in (("accuracy", kept["val_accuracy"]), ("epoch", kept["epoch"]), ("seconds", run.seconds)):
            trial.set_user_attr(name, float(value))
        return float(kept["val_loss"])

    def _phase(self, chosen):
        return replace(self.phase, **{name: value for name, value in chosen.items() if name != _DROPOUT})

    def _solved(self):
        return linear_probe(extract_features(self.backbone, self.data), seed=self.seed)

    def _model(self, chosen):
        dropout = chosen.get(_DROPOUT, 0.0)
        model = attach_head(self.backbone, self.head or len(self.data.classes), dropout=dropout)
        if self.head is None:  # zeros: no trial begins luckier than another
            for variable in model.layers[-1].trainable_variables:
                variable.assign(keras.ops.zeros_like(variable))
        return model


def _suggested(trial, name, tried):
    """Ask Optuna for a value; by its name, where values have names."""
    if isinstance(tried, dict):
        return tried[trial.suggest_categorical(name, list(tried))]
    if isinstance(tried, list):
        return trial.suggest_categorical(name, tried)
    low, high = tried
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(name, low, high)
    return trial.suggest_float(name, low, high, log=low > 0 and high >= 10 * low)
