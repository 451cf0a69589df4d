"""The page itself, in Gradio: what a visitor sees, and which action each part calls.

Gradio is an extra, and takes seconds to import: functions import it, not the module.
"""

import asyncio
import functools
import html
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from pulse_jax.runs.names import RUN_PAGE
from pulse_jax.runs.run_page import IMAGINED
from pulse_jax.system.errors import RunError, UsageError
from pulse_jax.web.actions import AUTOMATIC, CENTRE, FACE, Actions
from pulse_jax.web.request import MAX_RESTARTS
from pulse_jax.web.results import FRAMES

__all__ = ["build_page"]

_TITLE = "pulse_jax"
_LEAD = (
    "From one low-resolution picture to realistic high-resolution ones that it could have come from, each with proof "
    "that it downscales to the input."
)
# Seconds between two looks at a request under way.
_POLL = 0.25
_KEEP = (3600, 24 * 3600)
_ASK = "<p>Upload a picture, or choose an example, and press Solve.</p>"
# Pictures to choose from have no text of their own.
_NAMES = """() => document.querySelectorAll("#examples button").forEach(
  (button, i) => button.setAttribute("aria-label", `Example ${i + 1}`))"""
# So that a page that is loaded again, or sent on, shows the same request; small screens have the answer further down.
_ADDRESS = """(run) => { history.replaceState(null, "", "?run=" + encodeURIComponent(run));
  document.getElementById("standing").scrollIntoView({ block: "nearest", behavior: "smooth" }); }"""


def _told(action: Callable[..., Any]) -> Callable[..., Any]:
    """An action whose errors are shown to the visitor, as text."""
    import gradio as gr  # pyright: ignore[reportMissingImports]

    @functools.wraps(action)
    def act(*arguments: Any) -> Any:
        try:
            return action(*arguments)
        except (UsageError, RunError) as error:
            raise gr.Error(html.escape(str(error)), duration=None, print_exception=False) from None

    return act


def build_page(actions: Actions, examples: Sequence[Path]) -> Any:
    """Return the page, a `gradio.Blocks`.

    Args:
        actions: What it calls.
        examples: Pictures to choose from.
    """
    import gradio as gr  # pyright: ignore[reportMissingImports]

    with gr.Blocks(title=_TITLE, analytics_enabled=False, delete_cache=_KEEP) as page:
        run = gr.Textbox(visible=False, label="Request")
        gr.HTML(f"<h1>{_TITLE}</h1><p>{_LEAD}</p>", elem_id="head")
        gr.HTML(f"<p>{html.escape(IMAGINED)}</p>", elem_id="notice")
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                asked, solve = _form(actions, examples)
            with gr.Column(scale=5, min_width=300):
                with gr.Row():
                    with gr.Column(scale=0, min_width=190, visible=False) as read:
                        preview = gr.Image(label="As it is read", interactive=False, height=170, buttons=[])
                        known = gr.Markdown()
                    standing = gr.HTML(_ASK, elem_id="standing")
                with gr.Row():
                    stop = gr.Button("Stop", visible=False, elem_id="stop")
                    go_on = gr.Button("Go on", visible=False, elem_id="go-on")
                gallery = gr.Gallery(
                    label="Solutions", columns=4, allow_preview=False, interactive=False, object_fit="contain",
                    format="png", elem_id="gallery", visible=False,
                )  # fmt: skip
                results, fill, filled = _results(actions, run, gallery)

        def look(path: str | None) -> list[Any]:
            if path is None:
                return [gr.update(visible=False), None, ""]
            pixels, words = _told(actions.look)(path)
            return [gr.update(visible=True), pixels, html.escape(words)]

        def begin(name: str) -> list[Any]:
            hidden, visible = gr.update(visible=False), gr.update(visible=True)
            if not name:
                return [gr.skip()] * 5
            return [gr.update(interactive=False), visible, hidden, visible, hidden]

        async def follow(run: str) -> AsyncIterator[tuple[Any, Any]]:
            """Tell where a request stands, and what has been found, until it is over."""
            if not run:
                yield gr.skip(), gr.skip()
                return
            job, seen = _told(actions.jobs.find)(run), None
            while True:
                now = (job.version, actions.jobs.before(job))
                if now != seen:
                    seen, is_over = now, job.is_over
                    yield actions.standing(job), actions.gallery(job)
                    if is_over:
                        return
                await asyncio.sleep(_POLL)

        def end(name: str) -> list[Any]:
            if not name:
                return [gr.skip()] * (5 + len(filled))
            job = actions.jobs.find(name)
            has_results = job.results is not None
            shown = [gr.update(interactive=True), gr.update(visible=False), gr.update(visible=job.state == "stopped")]
            shown += [gr.update(visible=has_results or bool(job.found)), gr.update(visible=has_results)]
            return [*shown, *(fill(name) if has_results else [gr.skip()] * len(filled))]

        parts = [solve, stop, go_on, gallery, results]
        asked[0].change(look, asked[0], [read, preview, known], api_visibility="private", concurrency_limit=1)

        def followed(event: Any, api_name: str | None = None) -> None:
            visibility = "public" if api_name else "private"
            event.then(begin, run, parts, api_visibility="private", show_progress="hidden").then(
                follow, run, [standing, gallery], api_name=api_name, api_visibility=visibility,
                show_progress="hidden", concurrency_limit=None,
            ).then(end, run, [*parts, *filled], api_visibility="private", show_progress="hidden")  # fmt: skip

        submitted = solve.click(_told(actions.submit), asked, run, api_name="submit", show_progress="hidden")
        followed(submitted.success(None, run, None, js=_ADDRESS, api_visibility="private"), "follow")

        def stop_it(run: str) -> None:
            """End a request that waits or is under way; what was found is kept."""
            _told(lambda: actions.jobs.stop(actions.jobs.find(run)))()

        def go_on_with_it(run: str) -> None:
            """Queue a stopped request again; it goes on where it was."""
            _told(lambda: actions.jobs.go_on(actions.jobs.find(run)))()

        followed(go_on.click(go_on_with_it, run, None, api_name="go_on"))
        stop.click(stop_it, run, None, api_name="stop", concurrency_limit=None)

        def of_address(request: gr.Request) -> str:
            return str(request.query_params.get("run", ""))

        page.load(None, js=_NAMES)
        followed(page.load(of_address, None, run, api_visibility="private"))
        gr.api(_result_of(actions), api_name="result")  # pyright: ignore[reportPrivateImportUsage]
    return page


def _result_of(actions: Actions) -> Callable[[str], dict[str, Any]]:
    def result(run: str) -> dict[str, Any]:
        """Tell where a request stands, with the records of its solutions."""
        return _told(actions.result)(run)

    return result


def _form(actions: Actions, examples: Sequence[Path]) -> tuple[list[Any], Any]:
    """What is asked for; the parts that hold it, and the button that asks."""
    import gradio as gr  # pyright: ignore[reportMissingImports]

    offer = actions.offer
    picture = gr.File(label="Picture", file_count="single", type="filepath", height=120, elem_id="picture")
    thumbnails = gr.Dataset(
        components=[gr.Image(render=False)], samples=[[str(path)] for path in examples], type="index",
        label="Or an example", elem_id="examples",
    )  # fmt: skip
    ways = [CENTRE, FACE] if offer.finds_faces else [CENTRE]
    take = gr.Radio(ways, value=CENTRE, label="What is taken of it", visible=len(ways) > 1)
    usual = max(offer.sizes[0], offer.size // 8)
    sides: list[Any] = [(f"Automatic: as it is, or {usual} × {usual}", AUTOMATIC)]
    sides += [(f"{side} × {side}", side) for side in offer.sizes]
    size = gr.Dropdown(sides, value=AUTOMATIC, label="Input size", info="Larger pictures are downscaled to it first.")
    preset = gr.Dropdown(list(offer.presets), value=offer.presets[0], label="Preset")
    restarts = gr.Slider(1, MAX_RESTARTS, value=4, step=1, label="Restarts", info="Searches, each from another start.")
    with gr.Row():
        eps = gr.Textbox("", label="ε", info="Largest error.", placeholder="the preset's", min_width=120)
        seed = gr.Number(0, precision=0, minimum=0, label="Seed", info="Draws the starts.", min_width=120)
    solve = gr.Button("Solve", variant="primary", elem_id="solve")

    thumbnails.click(
        lambda number: str(examples[number]), thumbnails, picture, api_visibility="private", show_progress="hidden"
    )
    return [picture, take, size, preset, restarts, eps, seed], solve


def _results(actions: Actions, run: Any, gallery: Any) -> tuple[Any, Callable[[str], list[Any]], list[Any]]:
    """What is looked at once there are solutions: the part, what fills it, and the parts that are filled."""
    import gradio as gr  # pyright: ignore[reportMissingImports]

    # Whatever solutions there may be: what programs choose is looked at by the actions.
    numbers = list(range(1, MAX_RESTARTS + 1))
    with gr.Column(visible=False) as group, gr.Tabs() as tabs:
        with gr.Tab("Compare", id="compare"):
            number = gr.Radio(numbers, value=1, label="Solution", elem_id="number")
            slider = gr.ImageSlider(
                label="Input | solution", interactive=False, format="png", elem_id="slider", buttons=["fullscreen"]
            )
            facts = gr.HTML()
        with gr.Tab("Not fixed") as not_fixed:
            spread = gr.Image(
                label="What the input does not fix", interactive=False, format="png", buttons=["download"],
                elem_id="unseen",
            )  # fmt: skip
            spread_words = gr.Markdown()
        with gr.Tab("Between") as ways:
            with gr.Row():
                start = gr.Dropdown(numbers, value=1, label="From solution")
                goal = gr.Dropdown(numbers, value=2, label="To solution")
            at = gr.Slider(0, FRAMES - 1, value=FRAMES // 2, step=1, label="Place on the way", elem_id="place")
            way = gr.Image(
                label="Between two solutions", interactive=False, format="png", buttons=["download"], height=420,
                elem_id="way",
            )  # fmt: skip
            way_words = gr.Markdown()
        with gr.Tab("Files") as files:
            everything = gr.DownloadButton(
                "Everything as a zip file: pictures, latents, records, page", elem_id="archive"
            )
            links = gr.HTML(elem_id="links")

    def fill(name: str) -> list[Any]:
        shown = actions.shown(name)
        known = numbers[: len(shown.record["solutions"])]
        pictures, told = actions.compare(name, 1)
        page = actions.page(name)
        latents = f"{page.removesuffix(RUN_PAGE)}{shown.record['latents']}"
        link = (
            f'<p><a href="{html.escape(page)}" target="_blank">The run\'s page</a> shows all solutions with sliders, '
            "differences and error maps. The zip file holds it too, and it works without a network.</p>"
            f'<p><a href="{html.escape(latents)}" download>solutions.npz</a> holds the latents, which '
            "<code>pulse-jax sample</code> draws again.</p>"
        )
        return [
            gr.update(selected="compare"), gr.update(choices=known, value=1), pictures, told, None, "",
            gr.update(choices=known, value=1), gr.update(choices=known, value=known[:2][-1]), None, "",
            gr.update(visible=shown.has_latents), None, link,
        ]  # fmt: skip

    def compare(run: str, number: int) -> Any:
        """Lay a solution, counted from 1, over its input."""
        return _told(actions.compare)(run, number)

    def unseen(run: str) -> Any:
        """Draw where feasible solutions differ in what the input does not fix."""
        return _told(actions.unseen)(run)

    def between(run: str, one: int, other: int, place: int) -> Any:
        """Draw the picture at a place, from 0 to 24, on the way between two solutions, counted from 1."""
        return _told(actions.between)(run, one, other, place)

    def archive(run: str) -> Any:
        """Make a zip file of pictures, latents, records and page."""
        return _told(actions.archive)(run)

    def chosen(event: gr.SelectData) -> int:
        return event.index + 1

    gallery.select(chosen, None, number, api_visibility="private", show_progress="hidden")
    number.change(compare, [run, number], [slider, facts], api_name="compare", show_progress="hidden")
    not_fixed.select(unseen, run, [spread, spread_words], api_name="unseen")
    gr.on(
        [ways.select, start.input, goal.input, at.input], between, [run, start, goal, at], [way, way_words],
        api_name="between", show_progress="minimal", trigger_mode="always_last",
    )  # fmt: skip
    files.select(archive, run, everything, api_name="archive")
    filled = [tabs, number, slider, facts, spread, spread_words, start, goal, way, way_words, ways, everything, links]
    return group, fill, filled
