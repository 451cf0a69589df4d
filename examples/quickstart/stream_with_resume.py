"""A stream of searches that is stopped in the middle, and goes on where it was."""

import importlib.resources
import itertools
from pathlib import Path

import tyro

import pulse_jax
from pulse_jax.images.files import read_image, save_png

DEMO = Path(str(importlib.resources.files("pulse_jax"))) / "data" / "demo"


def main(output: Path = Path("quickstart-output")) -> None:
    """Solve four inputs three times each, with a stop after five searches."""
    folder = output / "stream_with_resume"
    searches = folder / "searches"
    folder.mkdir(parents=True, exist_ok=True)
    generator = pulse_jax.load_generator()
    pictures = [read_image(path).pixels for path in sorted(DEMO.glob("*.png"))[:4]]

    def solve(done):
        """Stream what is still to be solved; `done` are solutions from before."""
        ended = [{s.restart: s.feasible for s in done if s.index == i} for i in range(len(pictures))]
        problems = (pulse_jax.Problem(low_res=p, index=i, restarts=3, ended=ended[i]) for i, p in enumerate(pictures))
        return pulse_jax.solve_stream(problems, generator, lanes=4, chunk_steps=10, checkpoint_dir=searches)

    stream = solve([])
    done = list(itertools.islice(stream, 5))
    stream.close()  # as after Ctrl-C or a kill: what is under way lies in the folder
    print(f"stopped after {len(done)} searches; kept: {', '.join(sorted(path.name for path in searches.iterdir()))}")
    done += solve(done)
    print(f"{len(done)} of 12 searches have ended, {sum(one.feasible for one in done)} feasible: look into {folder}")
    for one in done:
        save_png(folder / f"head_{one.index + 1}_{one.restart + 1}.png", one.image)


if __name__ == "__main__":
    tyro.cli(main)
