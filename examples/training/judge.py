"""Judge a generator's plain samples against held-out renders, beside what renders score among themselves.

    python -m examples.training.judge --heldout heads/heldout --train heads/train --features features.npz

Distances and precision compare equally many pictures with the first half of the held-out renders; the floor is what
their second half scores. The more held-out renders the better: below a few hundred, Fréchet distances are mostly bias.

- Sliced Wasserstein distance of 7×7 patches on the levels of a Laplacian pyramid: texture, colours left aside.
- Fréchet distance, precision and recall of the features of features.py, as shares of the renders' variance.
- Mean distance between two pictures relative to renders: less than 1 shows collapse.
- Distance to the nearest training render or its mirror image, root mean square: less than that of held-out renders
  shows copying.
- Share of pictures in which OpenCV finds a face.
- Attributes as features.py reads them off, on samples and on held-out renders, and the true ones of the latter.
"""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
import tyro
from jaxtyping import UInt8

from examples.training import detection, features, points, targets
from examples.training.detection import FaceDetector
from examples.training.features import FeatureNetwork
from examples.training.shards import read_attributes, read_pictures, stream_pictures
from examples.training.targets import Target
from pulse_jax.generators.generator import Generator, load_generator
from pulse_jax.images.rounding import from_uint8, to_uint8
from pulse_jax.reports import feature_sets, metrics
from pulse_jax.reports.tables import markdown, print_table


@dataclasses.dataclass(frozen=True)
class Options:
    """What is judged, against what, and where the numbers go.

    Attributes:
        heldout: Folder of held-out shards written by render.py.
        train: Folder of the shards that were trained on.
        features: File written by features.py.
        generator: Generator folder; the embedded one by default.
        previous: Another generator folder, in a column of its own.
        samples: Pictures drawn for faces, attributes, copies and variety.
        faces: Whether faces are counted, which needs OpenCV.
        output: JSON file; the tables go beside it in Markdown.
    """

    heldout: pathlib.Path
    train: pathlib.Path
    features: pathlib.Path
    generator: pathlib.Path | None = None
    previous: pathlib.Path | None = None
    samples: int = 1000
    faces: bool = True
    output: pathlib.Path = pathlib.Path("judged.json")


@dataclasses.dataclass(frozen=True)
class Reference:
    """Renders that others are compared with: 8-bit pictures (n, r, r, 3) and their features (n, f)."""

    pictures: np.ndarray
    features: np.ndarray


def draw_samples(generator: Generator, count: int, seed: int = 0) -> UInt8[np.ndarray, "n r r 3"]:
    """Plain samples as 8-bit pictures."""
    return to_uint8(np.asarray(generator.sample(jax.random.key(seed), count)))


def distances(pictures: UInt8[np.ndarray, "n r r 3"], found: np.ndarray, reference: Reference) -> dict[str, Any]:
    """Measure how far pictures with the features `found` are from the reference, patches of equally many of both."""
    count = min(len(pictures), len(reference.pictures))
    levels = metrics.patch_distances(from_uint8(pictures[:count]), from_uint8(reference.pictures[:count]))
    precision, recall = feature_sets.precision_recall(reference.features, found)
    return {
        "sliced_wasserstein_levels": levels,
        "sliced_wasserstein": float(np.mean(levels)),
        "frechet": metrics.frechet_distance(found, reference.features),
        "precision": precision,
        "recall": recall,
    }


def variety(pictures: UInt8[np.ndarray, "n r r 3"]) -> float:
    """Return the mean root-mean-square difference between two different pictures."""
    flat = from_uint8(pictures).reshape(len(pictures), -1)
    return points.mean_pairwise_distance(flat) / flat.shape[1] ** 0.5


def nearest_render(pictures: UInt8[np.ndarray, "n r r 3"], train: pathlib.Path) -> np.ndarray:
    """Return each picture's root-mean-square difference to the nearest training render, mirrored or not."""
    both = from_uint8(np.concatenate([pictures, pictures[:, :, ::-1]])).reshape(2 * len(pictures), -1)
    blocks = (from_uint8(shard).reshape(len(shard), -1) for shard in stream_pictures(train))
    nearest = points.nearest_distances(both, blocks)
    return nearest.reshape(2, -1).min(axis=0) / both.shape[1] ** 0.5


def judge_pictures(
    pictures: UInt8[np.ndarray, "n r r 3"],
    compared: slice,
    reference: Reference,
    network: FeatureNetwork,
    train: pathlib.Path,
    detector: FaceDetector | None,
    copies: int,
) -> dict[str, Any]:
    """Return all numbers of one column; `compared` go to the reference, the first `copies` to the training renders."""
    found, attributes = network(pictures)
    nearest = nearest_render(pictures[:copies], train)
    return {
        "pictures": len(pictures),
        **distances(pictures[compared], found[compared], reference),
        "variety": variety(pictures),
        "nearest_render_of": len(nearest),
        "nearest_render_median": float(np.median(nearest)),
        "nearest_render_1_percent": float(np.quantile(nearest, 0.01)),
        "nearest_render_least": float(nearest.min()),
        "faces": None if detector is None else float(detection.faces_found(pictures, detector).mean()),
        "attributes": targets.summaries(network.targets, attributes),
    }


def judge(
    generators: Mapping[str, Generator],
    heldout: UInt8[np.ndarray, "n r r 3"],
    heldout_attributes: Mapping[str, np.ndarray],
    network: FeatureNetwork,
    train: pathlib.Path,
    detector: FaceDetector | None,
    samples: int = 1000,
) -> dict[str, Any]:
    """Return a column for the held-out renders and one per generator, and the held-out renders' true attributes."""
    half = min(len(heldout) // 2, samples)
    reference = Reference(heldout[:half], network(heldout[:half])[0])
    columns = {
        "renders": judge_pictures(heldout, slice(half, 2 * half), reference, network, train, detector, samples),
    }
    for name, generator in generators.items():
        drawn = draw_samples(generator, samples)
        columns[name] = judge_pictures(drawn, slice(half), reference, network, train, detector, samples)
    return {
        "compared": half,
        "columns": columns,
        "true_attributes": targets.summaries(network.targets, heldout_attributes),
    }


def metric_rows(columns: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """Return the first table: a measure per row."""
    rows = []

    def add(label: str, texts: Sequence[str]) -> None:
        rows.append([label, *texts])

    values = list(columns.values())
    levels = [" / ".join(f"{level:.3f}" for level in column["sliced_wasserstein_levels"]) for column in values]
    add("sliced Wasserstein distance, fine to coarse", levels)
    add("sliced Wasserstein distance, mean", [f"{column['sliced_wasserstein']:.4f}" for column in values])
    add("Fréchet distance of features", [f"{column['frechet']:.4f}" for column in values])
    add("precision", [f"{column['precision']:.3f}" for column in values])
    add("recall", [f"{column['recall']:.3f}" for column in values])
    renders = columns["renders"]["variety"]
    add("distance between two pictures, relative", [f"{column['variety'] / renders:.3f}" for column in values])
    add("nearest training render, median", [f"{column['nearest_render_median']:.4f}" for column in values])
    add("nearest training render, 1 % quantile", [f"{column['nearest_render_1_percent']:.4f}" for column in values])
    least = [f"{column['nearest_render_least']:.4f} of {column['nearest_render_of']}" for column in values]
    add("nearest training render, least", least)
    if columns["renders"]["faces"] is not None:
        add("face found", [f"{column['faces']:.3f}" for column in values])
    return rows


def attribute_rows(wanted: Sequence[Target], columns: Sequence[Mapping[str, list[float]]]) -> list[list[str]]:
    """Return the second table: of each attribute the share, or mean ± deviation; of many classes the total variation.

    `columns` are summaries of attributes, the true ones first.
    """
    rows = []
    for target in wanted:
        values = [np.array(column[target.name]) for column in columns]
        if target.kind == "binary" or (target.kind == "categorical" and target.size == 2):
            rows.append([f"{target.name}, share", *(f"{value[-1]:.3f}" for value in values)])
        elif target.kind == "categorical":
            # Total variation: the share of pictures that would have to change their class.
            moved = [f"{np.abs(value - values[0]).sum() / 2:.3f}" for value in values]
            rows.append([f"{target.name}, {target.size} classes, total variation", *moved])
        else:
            for i in range(target.size):
                label = target.name if target.size == 1 else f"{target.name}[{i}]"
                rows.append([label, *(f"{value[i]:.3g} ± {value[target.size + i]:.3g}" for value in values)])
    return rows


def main(options: Options) -> None:
    """Print both tables and write them."""
    options.output.parent.mkdir(parents=True, exist_ok=True)
    detector = detection.haar_detector() if options.faces else None
    network = features.load(options.features)
    generators = {"samples": load_generator(options.generator)}
    if options.previous is not None:
        generators["previous"] = load_generator(options.previous)
    heldout, attributes = read_pictures(options.heldout), read_attributes(options.heldout)
    judged = judge(generators, heldout, attributes, network, options.train, detector, options.samples)
    columns = judged["columns"]
    summaries = [judged["true_attributes"], *(column["attributes"] for column in columns.values())]
    tables = [
        ("Plain samples and renders", ["", *columns], metric_rows(columns)),
        (
            "Attributes as the network reads them",
            ["", "renders, true", *(f"{name}, read" for name in columns)],
            attribute_rows(network.targets, summaries),
        ),
    ]
    for title, names, rows in tables:
        print_table(title, names, rows)
    options.output.write_text(json.dumps(judged, indent=1) + "\n", encoding="utf-8")
    text = "\n".join(markdown(names, rows) for _, names, rows in tables)
    options.output.with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
