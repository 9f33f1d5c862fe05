"""tlteach: learn transfer learning with Keras 3.

The road: `load_dataset` or `from_folder`, `load_backbone`, `extract_features`,
`linear_probe`, `attach_head`, `fine_tune`, `evaluate`, and a plot.
"""

import importlib

from tlteach import _alt

__version__ = "0.1.0"

_HOMES = {
    "masks": ["load_masks", "swap_backgrounds"],
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
    "transplant": ["keep_stages"],
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
    "subgroups": ["accuracy_by", "average_by", "worst_group"],
    "balancing": ["balanced_rows", "group_weights"],
    "calibration": ["calibration_table", "expected_calibration_error", "scale_temperature"],
    "activation_maps": ["class_activation_maps"],
    "occlusion": ["word_evidence"],
    "comparison": ["compare"],
    "label_curves": ["benefits", "gains"],
    "transferability": ["h_score", "leep", "log_me", "nce"],
    "source_ranking": ["rank_agreement", "rank_sources"],
    "similarity": ["linear_cka", "stage_similarity"],
    "recipe_check": ["check_recipe", "describe_findings"],
    "shift": ["domain_shift", "feature_shift"],
    "adapt": ["BatchNormStatistics", "Coral", "Dann", "FewLabels", "SelfTraining"],
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
    "plots_sound": ["plot_ranges", "plot_spectrogram", "plot_spectrograms"],
    "plots_text": ["plot_word_evidence"],
    "plots_sources": [
        "plot_agreement",
        "plot_benefits",
        "plot_gains",
        "plot_over",
        "plot_ranking",
        "plot_similarity",
    ],
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
    "quizzes": ["quiz"],
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


_alt.describe_in_notebooks()
