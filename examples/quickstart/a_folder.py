"""A folder of pictures, solved as a stream: each solution is written as soon as it is found."""

import importlib.resources
from pathlib import Path

import tyro

import pulse_jax
from pulse_jax.images.files import read_image, save_png
from pulse_jax.reports.contact_sheet import SheetRow, SheetTile, contact_sheet

DEMO = Path(str(importlib.resources.files("pulse_jax"))) / "data" / "demo"


def main(inputs: Path = DEMO, output: Path = Path("quickstart-output")) -> None:
    """Solve every PNG of a folder (square, 8×8, 16×16 or 32×32 pixels) twice, and draw all on one sheet."""
    folder = output / "a_folder"
    folder.mkdir(parents=True, exist_ok=True)
    paths = sorted(inputs.glob("*.png"))
    pictures = [read_image(path).pixels for path in paths]
    # Any iterable will do, a generator too: problems are read as searches end, so there may be millions.
    problems = (pulse_jax.Problem(low_res=one, index=i, restarts=2) for i, one in enumerate(pictures))
    tiles: dict[int, list[SheetTile]] = {}
    for one in pulse_jax.solve_stream(problems, pulse_jax.load_generator(), lanes=8):
        save_png(folder / f"{paths[one.index].stem}_{one.restart + 1}.png", one.image)
        caption = f"{one.downscaling_error:.1e} {'feasible' if one.feasible else 'missed'}"
        tile = SheetTile(one.image, caption, f"{one.steps} steps", one.feasible, one.downscaled)
        tiles.setdefault(one.index, []).append(tile)
        print(f"{paths[one.index].name}, restart {one.restart}: {caption}")
    rows = [SheetRow(path.name, pictures[i], tiles[i]) for i, path in enumerate(paths)]
    save_png(output / "a_folder.png", contact_sheet(rows, title=f"{len(paths)} inputs, two solutions each"))
    print(f"Look at {output / 'a_folder.png'}")


if __name__ == "__main__":
    tyro.cli(main)
