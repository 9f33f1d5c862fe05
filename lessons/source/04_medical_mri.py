# %% [markdown]
# # 04 Medical MRI
#
# Tumours in slices of the brain, in the five steps that a practitioner takes: choose a pretrained
# network, freeze it, add layers of one's own, fine-tune in phases, evaluate and improve. Then the
# part that much published work on this task gets wrong: who is on which side of the split.
#
# **You will**
#
# - choose a backbone, and the stage of it to build on, by what it gives to patients it has not seen,
# - fine-tune ResNet50, and search settings on kept features,
# - evaluate as a hospital would ask: sensitivity at a threshold, intervals over patients, calibration, maps,
# - see one model score very differently by slice and by patient, and learn *labels that mean nothing*,
# - go to a second scanner.
#
# **Time** 3 minutes in mini size on two cores. **Before** Lessons 01 to 03. No download. The
# mini slices are **simulated**: nothing here says anything about real patients. With
# `TLTEACH_SIZE=full` the same cells read slices of real patients; that wants a GPU.

# %%
from dataclasses import replace

import keras
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

import tlteach as tl

# %% [markdown]
# ## The task
#
# Three kinds of tumour, or none. A patient has several neighbouring slices, and no patient stands
# in two splits: `groups` says so.

# %%
mri = tl.load_dataset("brain_mri")
mri

# %%
names = mri.train.table.drop_duplicates("patient").groupby("class").head(3)
tl.plot_pictures(mri.train, names.index, columns=6);

# %% [markdown]
# A *glioma* grows inside the brain and infiltrates it; around it the white matter swells. A
# *meningioma* grows on the dura, the skin of the brain, and pushes the brain aside. A *pituitary*
# tumour sits in the middle, above the gland. Scanner and contrast differ from patient to patient:

# %%
patients = mri.train.table.drop_duplicates("patient")
pd.crosstab(patients["class"], [patients["scanner"], patients["contrast"]])

# %%
len(tl.check_leakage(mri))
