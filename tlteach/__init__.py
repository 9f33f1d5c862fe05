"""tlteach: learn transfer learning with Keras 3.

The road: `load_dataset` or `from_folder`, `load_backbone`, `extract_features`,
`linear_probe`, `attach_head`, `fine_tune`, `evaluate`, and a plot.
"""

import importlib

__version__ = "0.1.0"

_HOMES = {
    "masks": ["load_masks"],
    "data": ["Split", "Splits", "check_leakage", "from_folder", "load_dataset", "subset"],
    "tables": ["from_table"],
    "splitting": ["resplit", "shuffle_labels"],
    "backbones": ["Backbone", "list_backbones", "load_backbone"],
    "costs": ["cost_by_stage"],
    "frontends": ["FrontEnd", "SpecAugment", "Spectrogram", "listen", "perturb_speed", "spectrogram", "with_frontend"],
    "features": ["Features", "extract_features"],
    "heads": ["attach_head", "linear_probe"],
    "entities": ["align_labels", "attach_token_head", "entity_f1", "load_entities"],
    "freezing": ["freeze", "trainable_table"],
    "finetune": ["Phase", "Run", "fine_tune", "gradual_unfreezing"],
    "learning_rates": ["FoundRate", "find_learning_rate"],
    "search": ["search_phase"],
    "evaluation": ["Report", "evaluate"],
    "decisions": [
        "Curve",
        "choose_threshold",
        "one_against_rest",
        "precision_recall_curve",
        "roc_curve",
        "sensitivity_specificity",
    ],
    "subgroups": ["accuracy_by", "average_by"],
    "calibration": ["calibration_table", "expected_calibration_error", "scale_temperature"],
    "activation_maps": ["class_activation_maps"],
    "occlusion": ["word_evidence"],
    "plots": [
        "plot_by_stage",
        "plot_embedding",
        "plot_feature_maps",
        "plot_label_curve",
        "plot_learning_rate",
        "plot_neighbours",
        "plot_pictures",
        "plot_run",
        "plot_search",
        "plot_seconds",
        "plot_stages",
    ],
    "plots_sound": ["plot_spectrogram"],
    "plots_text": ["plot_word_evidence"],
    "plots_evaluation": [
        "plot_accuracy_by",
        "plot_activation_maps",
        "plot_calibration",
        "plot_confusion",
        "plot_mistakes",
        "plot_precision_recall",
        "plot_roc",
    ],
    "environment": ["versions"],
    "checking": ["check", "hint"],
    "lessons": ["claim", "save_results"],
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}
__all__ = sorted(_HOME_OF)


def __getattr__(name):
    """Import a name's module when it is first used, so that `import tlteach` costs nothing."""
    if name in _HOME_OF:
        return getattr(importlib.import_module(f"tlteach.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module 'tlteach' has no attribute {name!r}")


def __dir__():
    return [*globals(), *__all__]
