"""One learner's notebook, run in this process: a JSON line for each thing to know, as soon as it is known.

What a cell prints is not kept, so a flood of it takes no memory; the lines go where no cell can write.
What counts is noted in the kernel (`tlteach._fence`); what a cell displays is only compared with it.
"""

import json
import re
import subprocess
import sys

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError

CHECK = "application/vnd.tlteach.check+json"
STATUSES = ("passed", "wrong", "open")
KERNEL = "tlteach-fence"


def result_of(data):
    """Return exercise and status of a check's output, a list, or `None` where it is none.

    Args:
        data: What stands under `CHECK` in the output.
    """
    exercise, status = (data.get("exercise"), data.get("status")) if isinstance(data, dict) else (None, None)
    if not isinstance(exercise, str) or not re.fullmatch(r"[\w.-]{1,20}", exercise) or status not in STATUSES:
        return None
    return [exercise, status]


class _Attempt(NotebookClient):
    """A notebook whose outputs are looked at and let go."""

    def output(self, outs, msg, display_id, cell_index):
        kind, content = msg["header"]["msg_type"], msg["content"]
        if kind == "error":
            tell(error=f"{content['ename']}: {content['evalue']}"[:300], cell=cell_index + 1)
        elif kind in ("display_data", "execute_result") and (found := result_of(content["data"].get(CHECK))):
            tell(shown=found)
        return None


def tell(**facts):
    """Write a line for whoever started this process."""
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def _starts(cell, cell_index):
    tell(begins=cell_index + 1)


def main(notebook, folder):
    """Run all cells in order, whatever each of them does.

    Args:
        notebook: Path of the notebook.
        folder: Where it runs.
    """
    node = nbformat.read(notebook, as_version=4)
    client = _Attempt(
        node,
        timeout=None,
        kernel_name=KERNEL,
        allow_errors=True,
        resources={"metadata": {"path": folder}},
        on_cell_execute=_starts,
    )
    try:
        client.execute(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except DeadKernelError:
        tell(died=True)
    tell(done=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
