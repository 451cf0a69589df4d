"""Entries of pages, and pages with pictures beside them."""

from PIL import Image

from pulse_jax.reports.gallery import GalleryHead, passing

# Ends of scripts, of comments and of attributes, handlers, and the line ends of JavaScript.
NASTY = """<img src=x onerror=document.title='hit'></script><!--<script>"'&amp;\u2028\u2029${1}`</style>"""


def head(**changes):
    """What a page says above and below."""
    told = {"title": "title", "lead": "lead", "notice": "notice", "eps": 1e-3, "stats": [("Inputs", "1")], "facts": []}
    return GalleryHead(**{**told, **changes})


def item(number, *, title="picture", notes=(), command="pulse-jax", plausibility=None):
    """An input with two solutions; every third has none that is feasible, and errors rise with the number."""
    feasible = number % 3 != 0
    solutions = []
    for k in range(2):
        solution = {
            "image": f"{number}/s{k}.png",
            "downscaled": f"{number}/d{k}.png",
            "feasible": feasible,
            "downscaling_error": 1e-4 * (number + 1),
            "loss": 0.1,
            "steps": 3,
            "curve": [0.1, None, 1e-4 * (number + 1)],
            "status": "FEASIBLE" if feasible else "MAX_STEPS",
            "restart": k,
            "command": command,
        }
        solutions.append(solution if plausibility is None else {**solution, "plausibility": plausibility})
    one = {"title": title, "notes": [*notes], "size": 4, "solved": f"{number}/input.png", "sheet": None}
    return {**one, "latents": f"{number}/solutions.npz", "solutions": solutions}


def write(folder, items, **changes):
    """Write a page with its pictures, and return its text."""
    for number, one in enumerate(items):
        (folder / str(number)).mkdir()
        paths = [one["solved"], *(entry[key] for entry in one["solutions"] for key in ("image", "downscaled"))]
        for path in paths:
            Image.new("RGB", (4, 4), (number, 90, 90)).save(folder / path)
    list(passing(folder / "index.html", head(**changes), ((one, one) for one in items)))
    return (folder / "index.html").read_text(encoding="utf-8")
