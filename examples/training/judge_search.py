"""Judge what the search makes of held-out faces.

    python -m examples.training.judge_search --heldout DIR --features features.npz --output DIR

Held-out faces are downscaled and searched for with a preset (`--preset`); every solution is written as a PNG, and what
is read back is judged, none left out. Beside them stand the truths, as many plain samples, and bicubic upsampling.

- Share of inputs with a feasible solution among their restarts, and of single searches that are feasible.
- Fréchet distance of features (features.py) and sliced Wasserstein distance of patches from best solutions to held-out
  renders other than the truths, and both relative to plain samples'. They are biased the more the fewer the pictures:
  the truths' row, of equally many, is the floor.
- Median distance, in features, from a best solution to the nearest of those renders, relative to that of the truths.
- Share of pictures with a face that OpenCV finds, relative to that of the truths.
- Median difference between two feasible solutions of one input where downscaling does not see it (the null space of D),
  relative to two random renders: 0 if all solutions are one, 1 if the input says nothing about what it does not show.

With several --eps, one row each: what faithfulness costs in realism. Written per eps: the pictures and a sheet of the
worst inputs, those without a face first, then those farthest from any render by their features.
"""

import dataclasses
import json
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import tyro
from jaxtyping import UInt8
from PIL import Image

import pulse_jax
from examples.training import detection, features, points
from examples.training.detection import FaceDetector
from examples.training.features import FeatureNetwork
from examples.training.judge import Reference, distances, draw_samples
from examples.training.shards import read_attributes, read_pictures
from pulse_jax.generators.generator import Generator, load_generator
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.images.files import save_png
from pulse_jax.images.rounding import from_uint8, to_uint8
from pulse_jax.reports import metrics
from pulse_jax.reports.contact_sheet import SheetRow, SheetTile, contact_sheet
from pulse_jax.reports.tables import markdown, print_table
from pulse_jax.search.interpolation import enlarge

_SHEET_ROWS = 10  # in a column of the sheet of the worst
_RANDOM_RENDERS = 200  # whose pairs the differences of solutions are relative to


@dataclasses.dataclass(frozen=True)
class Options:
    """What is searched for, how, and where the results go.

    Attributes:
        heldout: Folder of shards written by render.py; pictures whose `id` is the name of a truth are left out.
        features: File written by features.py.
        output: Folder for pictures, sheets, `judged_search.json` and `judged_search.md`.
        truths: Folder of PNGs at the generator's resolution.
        generator: Generator folder; the embedded one by default.
        preset: Preset of the searches.
        factor: Downscaling factor.
        eps: Largest errors that are feasible, a row each; the first is that of the bicubic row.
        steps: Steps of a search at most.
        restarts: Searches of each input.
        lanes: Searches that run at once.
        seed: What starts and samples are drawn from.
        count: How many truths are used, from the first.
        worst: Inputs on the sheet.
        faces: Whether faces are looked for, which needs OpenCV.
    """

    heldout: pathlib.Path
    features: pathlib.Path
    output: pathlib.Path
    truths: pathlib.Path = pathlib.Path(__file__).parents[1] / "heldout" / "report"
    generator: pathlib.Path | None = None
    preset: str = pulse_jax.presets.DEFAULT
    factor: int = 8
    eps: tuple[float, ...] = (1e-3,)
    steps: int = 100
    restarts: int = 4
    lanes: int = 8
    seed: int = 0
    count: int = 100
    worst: int = 20
    faces: bool = True


@dataclasses.dataclass(frozen=True)
class Truths:
    """Held-out faces: names, 8-bit pictures (n, H, W, 3), and float32 inputs (n, h, w, 3) downscaled from them."""

    names: Sequence[str]
    pictures: np.ndarray
    low_res: np.ndarray


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one method made of every input: 8-bit pictures (n, k, H, W, 3), best first, and what is found in them.

    Attributes:
        errors: (n, k), mean squared error of the downscaled PNG against the input, in float64.
        faces: (n, k), whether a face is found; all true if nobody looks.
        features: (n, f), of the best pictures.
        nearest: (n,), their distance to the nearest features of a reference render.
    """

    pictures: np.ndarray
    errors: np.ndarray
    faces: np.ndarray
    features: np.ndarray
    nearest: np.ndarray


def read_truths(folder: pathlib.Path, count: int, factor: int) -> Truths:
    """Read the first `count` PNGs of a folder and their low-resolution versions.

    Raises:
        FileNotFoundError: The folder holds none.
    """
    paths = sorted(folder.glob("*.png"))[:count]
    if not paths:
        raise FileNotFoundError(f"{folder}: expected PNGs")
    pictures = read_pngs(paths)
    return Truths(
        [path.stem for path in paths], pictures, Bicubic(factor).apply_float64(pictures / 255).astype(np.float32)
    )


def read_pngs(paths: Sequence[pathlib.Path]) -> UInt8[np.ndarray, "n h w 3"]:
    """Read pictures as they are stored."""
    return np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths])


def other_renders(folder: pathlib.Path, names: Sequence[str]) -> UInt8[np.ndarray, "n h w 3"]:
    """Read the held-out renders whose number is not the name of a truth: what was searched for is no yardstick."""
    numbers = [int(name) for name in names if name.isdecimal()]
    return read_pictures(folder)[~np.isin(read_attributes(folder)["id"], numbers)]


def search_and_write(
    generator: Generator, truths: Truths, eps: float, options: Options, folder: pathlib.Path
) -> UInt8[np.ndarray, "n k h w 3"]:
    """Return all solutions, best first, written as PNGs and read back."""
    solutions = pulse_jax.upsample(
        generator,
        truths.low_res,
        restarts=options.restarts,
        seed=options.seed,
        lanes=options.lanes,
        config=pulse_jax.presets.PRESETS[options.preset](eps=eps, steps=options.steps),
    )
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for name, images in zip(truths.names, solutions.images, strict=True):
        paths = [folder / f"{name}_{i + 1}.png" for i in range(len(images))]
        for path, image in zip(paths, images, strict=True):
            save_png(path, image)
        rows.append(read_pngs(paths))
    return np.stack(rows)


def bicubic_upsampled(truths: Truths) -> UInt8[np.ndarray, "n 1 h w 3"]:
    """Bicubic enlargements of the inputs."""
    size = truths.pictures.shape[1]
    return np.stack([to_uint8(enlarge(low_res, size, "bicubic"))[None] for low_res in truths.low_res])


def examine(
    pictures: UInt8[np.ndarray, "n k h w 3"],
    truths: Truths,
    reference: Reference,
    network: FeatureNetwork,
    detector: FaceDetector | None,
) -> Outcome:
    """Errors, faces and feature distances of what a method made."""
    n, k = pictures.shape[:2]
    factor = pictures.shape[2] // truths.low_res.shape[1]
    errors = Bicubic(factor).error(pictures / 255, truths.low_res[:, None])
    faces = np.ones((n, k), bool)
    if detector is not None:
        faces = detection.faces_found(pictures.reshape(n * k, *pictures.shape[2:]), detector).reshape(n, k)
    found, _ = network(pictures[:, 0])
    return Outcome(pictures, errors, faces, found, points.nearest_distances(found, [reference.features]))


def unseen_difference(pictures: UInt8[np.ndarray, "n k h w 3"], use: np.ndarray, factor: int) -> float | None:
    """Return the median root-mean-square difference, in the null space of D, between two pictures of one row.

    Only pictures that `use` marks count; None if no row has two.
    """
    pairs = [
        metrics.pairwise_differences(Bicubic(factor).unseen(row[used] / 255))
        for row, used in zip(pictures, use, strict=True)
    ]
    joined = np.concatenate(pairs)
    return float(np.median(joined)) if len(joined) else None


def summarise(
    outcome: Outcome, eps: float, reference: Reference, random_difference: float, factor: int
) -> dict[str, Any]:
    """Return one row's numbers, before they are set in relation to plain samples' and truths'."""
    feasible = outcome.errors <= eps
    difference = unseen_difference(outcome.pictures, feasible, factor)
    return {
        "inputs_feasible": float(feasible.any(axis=1).mean()),
        "searches_feasible": float(feasible.mean()),
        "median_error": float(np.median(outcome.errors.min(axis=1))),
        **distances(outcome.pictures[:, 0], outcome.features, reference),
        "nearest_render": float(np.median(outcome.nearest)),
        "faces_best": float(outcome.faces[:, 0].mean()),
        "faces_all": float(outcome.faces.mean()),
        "unseen_difference": None if difference is None else difference / random_difference,
    }


def worst_first(outcome: Outcome) -> np.ndarray:
    """Return inputs by their best picture: those without a face first, then the farthest from any render."""
    return np.lexsort((-outcome.nearest, outcome.faces[:, 0]))


def worst_sheet(truths: Truths, own: Outcome, outcome: Outcome, eps: float, count: int) -> np.ndarray:
    """Input, truth and solutions of the worst inputs as one picture; `own` is what was found in the truths."""
    rows = []
    for i in worst_first(outcome)[:count]:
        tiles = [SheetTile(from_uint8(truths.pictures[i]), "truth")]
        for picture, error, face in zip(outcome.pictures[i], outcome.errors[i], outcome.faces[i], strict=True):
            caption = f"{error:.1e} {'feasible' if error <= eps else 'infeasible'}"
            good = bool(face and error <= eps)
            tiles.append(SheetTile(from_uint8(picture), caption, "" if face else "no face found", good))
        note = f"features {outcome.nearest[i]:.2f} from the nearest render's, the truth's {own.nearest[i]:.2f}"
        rows.append(SheetRow(str(truths.names[i]), truths.low_res[i], tiles, note))
    columns = []
    for start in range(0, len(rows), _SHEET_ROWS):
        part = rows[start : start + _SHEET_ROWS]
        places = f"{start + 1} to {start + len(part)} of {len(truths.names)}"
        columns.append(contact_sheet(part, title=f"eps {eps:g}: the worst inputs, {places}"))
    height = max(len(column) for column in columns)
    paper = [np.broadcast_to(column[:1, :1], (height - len(column), column.shape[1], 3)) for column in columns]
    return np.concatenate([np.concatenate(pair) for pair in zip(columns, paper, strict=True)], axis=1)


def set_in_relation(rows: dict[str, dict[str, Any]]) -> None:
    """Add what is relative to the rows of truths and plain samples."""
    for row in rows.values():
        for name in ("frechet", "sliced_wasserstein"):
            row[f"{name}_relative"] = row[name] / rows["plain samples"][name]
        for name, label in (("faces_best", "faces_relative"), ("nearest_render", "nearest_render_relative")):
            of_truths = rows["truths"][name]
            row[label] = row[name] / of_truths if of_truths else None


def run(
    options: Options,
    generator: Generator,
    network: FeatureNetwork,
    renders: UInt8[np.ndarray, "m h w 3"],
    truths: Truths,
    detector: FaceDetector | None,
) -> dict[str, Any]:
    """Write pictures and sheets, and return all rows' numbers and, for each eps, every input's."""
    reference = Reference(renders, network(renders)[0])
    random_difference = unseen_difference(
        renders[None, :_RANDOM_RENDERS], np.ones((1, min(len(renders), _RANDOM_RENDERS)), bool), options.factor
    )
    if random_difference is None:
        raise ValueError("renders: expected at least two that are not among the truths")
    rows: dict[str, dict[str, Any]] = {}
    inputs: dict[str, list[dict[str, Any]]] = {}

    def add(label: str, pictures: np.ndarray, eps: float) -> Outcome:
        outcome = examine(pictures, truths, reference, network, detector)
        rows[label] = summarise(outcome, eps, reference, random_difference, options.factor)
        return outcome

    own = add("truths", truths.pictures[:, None], options.eps[0])
    add("plain samples", draw_samples(generator, len(truths.names), options.seed)[:, None], options.eps[0])
    # They were not made from the inputs.
    rows["plain samples"] |= {"inputs_feasible": None, "searches_feasible": None, "median_error": None}
    add(f"bicubic, eps {options.eps[0]:g}", bicubic_upsampled(truths), options.eps[0])
    for eps in options.eps:
        began = time.monotonic()
        folder = options.output / f"eps_{eps:g}"
        outcome = add(f"eps {eps:g}", search_and_write(generator, truths, eps, options, folder), eps)
        print(f"eps {eps:g}: {outcome.errors.size} searches in {time.monotonic() - began:.0f} s", flush=True)
        save_png(options.output / f"worst_{eps:g}.png", worst_sheet(truths, own, outcome, eps, options.worst))
        inputs[f"{eps:g}"] = [
            {
                "name": truths.names[i],
                "errors": outcome.errors[i].tolist(),
                "faces": outcome.faces[i].tolist(),
                "nearest_render": float(outcome.nearest[i]),
            }
            for i in worst_first(outcome)
        ]
    set_in_relation(rows)
    settings = {name: getattr(options, name) for name in ("factor", "steps", "restarts", "lanes", "seed")}
    counts = {"inputs": len(truths.names), "renders": len(renders)}
    return {"settings": settings, **counts, "rows": rows, "worst_first": inputs}


COLUMNS = {
    "inputs_feasible": "inputs feasible",
    "searches_feasible": "searches feasible",
    "median_error": "median error",
    "frechet": "Fréchet",
    "frechet_relative": "÷ samples'",
    "sliced_wasserstein": "SWD",
    "sliced_wasserstein_relative": "÷ samples'",
    "nearest_render_relative": "nearest render ÷ truths'",
    "faces_best": "face, best",
    "faces_relative": "÷ truths'",
    "faces_all": "face, all",
    "unseen_difference": "unseen ÷ random",
}


def table(rows: dict[str, dict[str, Any]], faces: bool) -> tuple[list[str], list[list[str]]]:
    """Column names and rows as text."""
    columns = {name: label for name, label in COLUMNS.items() if faces or not name.startswith("faces")}
    lines = []
    for label, row in rows.items():
        texts = ["–" if row[name] is None else f"{row[name]:.3f}" for name in columns]
        texts[list(columns).index("median_error")] = (
            "–" if row["median_error"] is None else f"{row['median_error']:.1e}"
        )
        lines.append([label, *texts])
    return ["", *columns.values()], lines


def main(options: Options) -> None:
    """Search, judge, print a table and write everything."""
    detector = detection.haar_detector() if options.faces else None
    network = features.load(options.features)
    truths = read_truths(options.truths, options.count, options.factor)
    renders = other_renders(options.heldout, truths.names)
    options.output.mkdir(parents=True, exist_ok=True)
    judged = run(options, load_generator(options.generator), network, renders, truths, detector)
    names, rows = table(judged["rows"], options.faces)
    print_table(f"{judged['inputs']} held-out faces, {options.restarts} restarts each", names, rows)
    (options.output / "judged_search.json").write_text(json.dumps(judged, indent=1) + "\n", encoding="utf-8")
    (options.output / "judged_search.md").write_text(markdown(names, rows), encoding="utf-8")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
