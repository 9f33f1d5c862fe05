"""The core under Keras' other backends: its own tests, run again where JAX or PyTorch is installed."""

import importlib.util
import os
import subprocess
import sys

import keras
import pytest
from conftest import ROOT

CORE = "test_freezing test_heads test_features test_finetune test_occlusion".split()
HIDE_TENSORFLOW = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "tensorflow":
            raise ImportError("TensorFlow is hidden from this test")
sys.meta_path.insert(0, Hidden())
import keras, numpy as np, tlteach as tl
assert keras.backend.backend() == sys.argv[1]
missing = [name for name in tl.__all__ if not hasattr(tl, name)]
vgg, pets = tl.load_backbone("vgg16", "mini"), tl.subset(tl.load_dataset("cats_vs_dogs", "mini"), 20)
probe = tl.linear_probe(tl.extract_features(vgg, pets, store=None))
run = tl.fine_tune(tl.attach_head(vgg, probe), pets, tl.gradual_unfreezing(vgg, epochs=2), store=None)
print(missing, tl.evaluate(run.model, pets.val).n, "tensorflow" in sys.modules)
"""


def installed(backend):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("already under another backend")
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")


def under(backend, *words):
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": path}
    return subprocess.run([sys.executable, *words], env=environment, cwd=ROOT / "tests", capture_output=True, text=True)


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_core_passes_its_tests(backend):
    installed(backend)
    done = under(backend, "-m", "pytest", "-o", "addopts=", "-q", *[f"{name}.py" for name in CORE])
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_core_needs_no_tensorflow(backend):
    installed(backend)
    done = under(backend, "-c", HIDE_TENSORFLOW, backend)
    assert done.stdout.split("\n")[-2] == "[] 5 False", done.stderr[-3000:]
