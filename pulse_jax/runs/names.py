"""What runs call their files and folders: so they are told from everybody else's."""

import re

from pulse_jax.runs.summary_file import SUMMARY_FILE

__all__ = [
    "ALIGNMENT_FILE",
    "EVALUATION_FILES",
    "FACES_SHEET",
    "HIDDEN",
    "KEPT",
    "ORIGINAL",
    "REPORT_PAGE",
    "RESERVED",
    "RUN_FILE",
    "RUN_PAGE",
    "RUN_SHEET",
    "STATE",
    "is_input_name",
    "is_result",
]

RUN_FILE = "run.toml"
"""What a run's options are called, from which it can be repeated."""
RUN_SHEET = "sheet.png"
"""The sheet of a run's first inputs."""
RUN_PAGE = "index.html"
"""The page on which all of a run is looked at."""
ORIGINAL = "original.png"
"""The picture that an input was made from, in its folder, where it is known."""
ALIGNMENT_FILE = "alignment.json"
"""The record of photographs and the faces that were cut out of them."""
FACES_SHEET = "faces.png"
"""The sheet of photographs with what was found in them."""
REPORT_PAGE = "report.html"
"""The page of an evaluation."""
EVALUATION_FILES = (REPORT_PAGE, "results.json", "results.csv", "results.md", "results.tex")
"""What an evaluation comes to."""
RESERVED = (RUN_SHEET, RUN_PAGE, SUMMARY_FILE, RUN_FILE, ALIGNMENT_FILE, FACES_SHEET, *EVALUATION_FILES)
"""What a run itself calls its files, so that no input's folder can be called so."""
HIDDEN = ".pulse-jax-"
"""How a run's own hidden files begin, with which no input's folder can begin."""
STATE = f"{HIDDEN}state"
"""The folder of what an unfinished run needs to go on."""
KEPT = f"{STATE}/inputs"
"""Where it keeps solutions of inputs that have not all of theirs, a folder for each."""
# What runs call the files of an input.
_PICTURE = r"(solution|downscaled)_[0-9]{2,}(_noise_[0-9]{2,})?\.(png|webp|jpg)"
_LATENTS = r"projected_w(_[0-9]{2,})?\.npz|w\.npy|projected\.pt"
_RESULT = re.compile(rf"{_PICTURE}|(input|original|sheet)\.png|solutions\.(npz|json)|(search|morph)\.webp|{_LATENTS}")


def is_result(name: str) -> bool:
    """Whether a file in an input's folder is called as runs call theirs."""
    return _RESULT.fullmatch(name) is not None


def is_input_name(name: str) -> bool:
    """Whether an input's folder can be called so: it leads nowhere else, and is nothing that a run calls its files."""
    is_one = name not in ("", ".", "..") and not {"/", "\0"} & {*name}
    return is_one and name not in RESERVED and not name.startswith(HIDDEN)
